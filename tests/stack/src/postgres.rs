//! PostgreSQL: the server of the machine or the one of a wheel, with a data folder of our own.
//!
//! It listens on the loopback interface only and asks for a password there too.

mod installation;
mod leftovers;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::unistd::{Uid, User};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use crate::POSTGRES;
use crate::eventually::wait_for;
use crate::folder::{Folder, is_reachable_by_all};
use crate::process::{Account, Launch};
use crate::tool::Run;

pub use installation::Installation;

/// The superuser that `initdb` makes. Only the stack itself uses it.
pub const SUPERUSER: &str = "tradewind_admin";

const INIT_WAIT_MAX: Duration = Duration::from_secs(60);
const START_WAIT_MAX: Duration = Duration::from_secs(60);
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What was committed survives a crash of the machine.
    Full,
    /// For tests, whose data nobody wants back.
    None,
}

/// Starts the server if it does not run, and waits until it answers.
///
/// # Errors
/// When there is no server to run, or it does not start.
pub async fn start(
    folder: &Folder,
    port: u16,
    password: &str,
    durability: Durability,
) -> Result<()> {
    let part = folder.part(POSTGRES);
    if part.pid().await?.is_none() {
        let installation = installation::find().await?;
        let user = server_user()?;
        let data = place_data(folder, user)?;
        if !data.join("PG_VERSION").exists() {
            init(&installation, &data, user, password).await?;
        }
        leftovers::wait_gone(&data).await?;
        part.start(launch(&installation, &data, user, port, durability)).await?;
    }
    let url = url(SUPERUSER, password, port, "postgres");
    wait_for("PostgreSQL to answer", START_WAIT_MAX, || async {
        match answers(&url).await {
            Ok(()) => ControlFlow::Break(Ok(())),
            Err(error) => match part.pid().await {
                Ok(Some(_)) => ControlFlow::Continue(format!("{error:#}")),
                Ok(None) => ControlFlow::Break(Err(anyhow!("PostgreSQL ended"))),
                Err(error) => ControlFlow::Break(Err(error)),
            },
        }
    })
    .await
    .with_context(|| part.log_hint())
}

/// Whether the server lets us in and answers a query.
///
/// # Errors
/// When it does not.
pub async fn answers(url: &str) -> Result<()> {
    let probing = async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query("SELECT 1").execute(&mut connection).await?;
        connection.close().await
    };
    tokio::time::timeout(PROBE_WAIT_MAX, probing).await.context("no answer in time")??;
    Ok(())
}

#[must_use]
pub fn url(user: &str, password: &str, port: u16, database: &str) -> String {
    format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
}

/// Removes the data folder, wherever it is.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_data(folder: &Folder) -> Result<()> {
    let data = folder.data(POSTGRES);
    for place in [elsewhere(folder), data.clone()] {
        if place.is_symlink() {
            fs::remove_file(&place)?;
        } else if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("removing {}", place.display()))?;
        }
    }
    Ok(())
}

/// The server refuses to run as root, so root starts it as somebody else.
fn server_user() -> Result<Option<Account>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
        }
    }
    Err(anyhow!("PostgreSQL cannot run as root, and there is no user `postgres` or `nobody`"))
}

/// Makes the data folder for `user`. When that user may not pass the folders above it, the data lives in
/// `/var/tmp` and a link stands in its place.
fn place_data(folder: &Folder, user: Option<Account>) -> Result<PathBuf> {
    let data = folder.data(POSTGRES);
    let Some(user) = user else {
        make_private(&data)?;
        return Ok(data);
    };
    let above = data.parent().unwrap_or(Path::new("/"));
    let place = if is_reachable_by_all(above) { data.clone() } else { elsewhere(folder) };
    make_private(&place)?;
    chown(&place, Some(user.uid), Some(user.gid))?;
    if place != data && !data.is_symlink() {
        symlink(&place, &data).with_context(|| format!("linking {}", data.display()))?;
    }
    Ok(place)
}

fn make_private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

fn elsewhere(folder: &Folder) -> PathBuf {
    let hash = Sha256::digest(folder.root().as_os_str().as_encoded_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/var/tmp").join(format!("tradewind-{name}"))
}

async fn init(
    installation: &Installation,
    data: &Path,
    user: Option<Account>,
    password: &str,
) -> Result<()> {
    // `initdb` reads the password from a file, which its user must own.
    let script = "umask 077; file=$(mktemp); cat >\"$file\"; \"$0\" \"$@\" --pwfile=\"$file\"; \
                  status=$?; rm \"$file\"; exit $status";
    Run::new(Path::new("sh"))
        .args(["-c", script])
        .arg(installation.bin.join("initdb"))
        .arg("--pgdata")
        .arg(data)
        .args(["--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8"])
        .args(["--locale=C.UTF-8", "--no-sync"])
        .input(password)
        .folder(Path::new("/"))
        .user(user)
        .within(INIT_WAIT_MAX)
        .output()
        .await
        .map(drop)
        .context("making PostgreSQL's data folder")
}

fn launch(
    installation: &Installation,
    data: &Path,
    user: Option<Account>,
    port: u16,
    durability: Durability,
) -> Launch {
    let synced = if durability == Durability::Full { "on" } else { "off" };
    let settings = [
        format!("port={port}"),
        format!("fsync={synced}"),
        format!("full_page_writes={synced}"),
        format!("synchronous_commit={synced}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "max_connections=100".to_owned(),
        "shared_buffers=256MB".to_owned(),
        "max_wal_size=2GB".to_owned(),
        "checkpoint_timeout=15min".to_owned(),
        "random_page_cost=1.1".to_owned(),
        "jit=off".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "lc_messages=C".to_owned(),
        "logging_collector=off".to_owned(),
    ];
    let mut args = vec!["-D".to_owned(), data.display().to_string()];
    args.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
    Launch { program: installation.bin.join("postgres"), args, user, ..Launch::default() }
}
