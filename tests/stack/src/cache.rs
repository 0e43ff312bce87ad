//! Downloads, kept once per user and shared by all clones of the project.
//!
//! An entry is named after the hash of the file that pins its content. It is filled beside its place and
//! renamed into it, under a lock, so that a reader never meets half of one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::Uid;
use sha2::{Digest, Sha256};

use crate::folder::{is_reachable_by_all, lock_file};

/// The folder `name-<hash of pins>`, filled by `fill` if it is not there yet.
///
/// # Errors
/// When the folder cannot be made or filled.
pub async fn entry<F, Fut>(name: &str, pins: &str, fill: F) -> Result<PathBuf>
where
    F: FnOnce(PathBuf) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let root = root()?;
    let hash: String = Sha256::digest(pins).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let place = root.join(format!("{name}-{hash}"));
    if place.exists() {
        return Ok(place);
    }
    let _lock = lock_file(&root.join(format!("{name}.lock"))).await?;
    if place.exists() {
        return Ok(place);
    }
    let half = root.join(format!("{name}-{hash}.half"));
    if half.exists() {
        fs::remove_dir_all(&half).with_context(|| format!("removing {}", half.display()))?;
    }
    fs::create_dir_all(&half).with_context(|| format!("making {}", half.display()))?;
    fill(half.clone()).await?;
    fs::rename(&half, &place).with_context(|| format!("making {}", place.display()))?;
    Ok(place)
}

/// `$XDG_CACHE_HOME/tradewind`, else `~/.cache/tradewind`. Root's home is closed to the user that PostgreSQL
/// runs as, so root uses the machine's cache.
fn root() -> Result<PathBuf> {
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .filter(|home| !Uid::effective().is_root() || is_reachable_by_all(home));
    let root = home.unwrap_or_else(|| PathBuf::from("/var/cache")).join("tradewind");
    fs::create_dir_all(&root).with_context(|| format!("making the cache {}", root.display()))?;
    Ok(root)
}
