//! The Kafka and the PostgreSQL that all tests of a `cargo test` share, over all of its processes.
//!
//! The first process that needs them starts them, under a lock; others find them running. Each process
//! holds a lease, a shared file lock that ends with the process however it ends. A watchdog, a
//! small shell script in a session of its own, ends the servers when no lease was held for a while.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;

use anyhow::{Context, Result};
use futures_util::{FutureExt, future::BoxFuture};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use stack::database::{self, Template};
use stack::detours::Detours;
use stack::folder::{Folder, workspace};
use stack::ports::{Ports, Size};
use stack::postgres::{self, Durability};
use stack::process::Launch;
use stack::secrets::Secrets;
use stack::state::{Databases, Existing, OWNER, StackState};
use stack::{KAFKA, POSTGRES, topic, up};

const WATCHDOG: &str = "watchdog";
const WATCHDOG_SCRIPT: &str = include_str!("watchdog.sh");
/// Looks, five seconds apart, that find no lease before the servers end.
const IDLE_LOOKS_MAX: u32 = 6;

static SERVERS: OnceCell<Servers> = OnceCell::const_new();

pub struct Servers {
    state: StackState,
    secrets: Secrets,
    /// The migrated database that each test gets a copy of.
    template: String,
    _lease: File,
}

/// The servers of this `cargo test`, started now if nobody has yet.
///
/// # Errors
/// When they cannot be started.
pub fn shared() -> BoxFuture<'static, Result<&'static Servers>> {
    async move { SERVERS.get_or_try_init(Servers::acquire).await }.boxed()
}

impl Servers {
    async fn acquire() -> Result<Self> {
        let folder = Folder::of_tests();
        folder.create()?;
        let lease = lease(&folder).await?;
        let _lock = folder.lock().await?;
        let secrets = Secrets::of(&folder)?;
        let state = start_missing(&folder, &secrets).await?;
        let template = make_template(&state, &secrets).await?;
        watch(&folder).await?;
        Ok(Self { state, secrets, template, _lease: lease })
    }

    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.state.bootstrap_servers()
    }

    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// # Errors
    /// When the servers refuse.
    pub async fn create_topic(&self, name: &str) -> Result<()> {
        topic::prepare(&self.bootstrap_servers(), name, 1, topic::SHARDS_OF_TESTS).await
    }

    /// A migrated database of one's own.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<Databases> {
        let admin_url = self.state.admin_url(&self.secrets);
        let template = Template::CopyOf(&self.template);
        database::create(&admin_url, name, template, owner(&self.state)).await?;
        Ok(self.state.databases_named(&self.secrets, Some(name)))
    }

    /// # Errors
    /// When the server refuses.
    pub async fn remove_database(&self, name: &str) -> Result<()> {
        database::remove(&self.state.admin_url(&self.secrets), name).await
    }
}

async fn lease(folder: &Folder) -> Result<File> {
    let path = folder.path("leases");
    let leasing = tokio::task::spawn_blocking(move || -> std::io::Result<File> {
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        file.lock_shared()?;
        Ok(file)
    });
    leasing.await?.context("taking a lease on the test servers")
}

async fn start_missing(folder: &Folder, secrets: &Secrets) -> Result<StackState> {
    let existing = Existing::of_environment(&Folder::of_workspace())?;
    let kafka_runs = folder.part(KAFKA).pid().await?.is_some();
    let postgres_runs = folder.part(POSTGRES).pid().await?.is_some();
    let found = StackState::read(folder)?.filter(|found| found.existing == existing);
    let state = match found {
        Some(found) if kafka_runs || postgres_runs => found,
        _ => StackState {
            ports: Ports::free(Size::SMALL)?,
            topic: String::new(),
            existing,
            detours: Detours::default(),
            guard: None,
            is_lasting: false,
        },
    };
    // What a server that is gone has left behind may be torn: it ran without syncing to the disk.
    if !kafka_runs && folder.data(KAFKA).exists() {
        fs::remove_dir_all(folder.data(KAFKA))?;
    }
    if !postgres_runs {
        postgres::remove_data(folder)?;
    }
    state.write(folder)?;
    up::start_servers(folder, &state, secrets, Durability::None).await?;
    if state.existing.postgres.is_none() {
        database::create_roles(&state.admin_url(secrets), secrets).await?;
    }
    Ok(state)
}

/// One template per set of migrations, finished when it has its name: a database that somebody is
/// connected to cannot be copied, so nobody ever connects to it again.
async fn make_template(state: &StackState, secrets: &Secrets) -> Result<String> {
    let name = format!("template_{}", migrations_hash()?);
    let admin_url = state.admin_url(secrets);
    if database::is_there(&admin_url, &name).await? {
        return Ok(name);
    }
    let unfinished = format!("{name}_unfinished");
    database::remove(&admin_url, &unfinished).await?;
    database::create(&admin_url, &unfinished, Template::Empty, owner(state)).await?;
    let databases = state.databases_named(secrets, Some(&unfinished));
    database::migrate(&databases.migrator).await?;
    database::rename(&admin_url, &unfinished, &name).await?;
    Ok(name)
}

/// On an existing server, who makes a database keeps it.
fn owner(state: &StackState) -> Option<&'static str> {
    state.existing.postgres.is_none().then_some(OWNER)
}

fn migrations_hash() -> Result<String> {
    let folder = workspace().join("infra/migrations");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(&file)?);
    }
    Ok(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

async fn watch(folder: &Folder) -> Result<()> {
    let part = folder.part(WATCHDOG);
    if part.pid().await?.is_some() {
        return Ok(());
    }
    let args = ["-c", WATCHDOG_SCRIPT, WATCHDOG, &folder.root().display().to_string()];
    let mut args: Vec<String> = args.map(str::to_owned).to_vec();
    args.push(IDLE_LOOKS_MAX.to_string());
    part.start(Launch { program: PathBuf::from("sh"), args, ..Launch::default() }).await?;
    Ok(())
}
