//! A small disk for each node's state store, which can be full: a tmpfs on the store's folder.
//!
//! It takes the right to mount. Where that is missing, the nodes keep their stores in plain folders,
//! and the fault is left out, with a word about it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use stack::console;

/// Room for what a run writes, each shard with its journal of up to 64 MiB, and little enough to
/// fill in a moment.
const SIZE: &str = "size=1g";
const FILLER: &str = "filler";
const CHUNK_BYTES: usize = 64 << 10;

pub(super) struct Disk(PathBuf);

/// A disk under each folder, or none at all.
pub(super) fn put_in(folders: impl Iterator<Item = PathBuf>) -> Vec<Disk> {
    let mounted: Result<Vec<Disk>> = folders.map(Disk::mount).collect();
    mounted.unwrap_or_else(|error| {
        console::step(&format!("store_full is left out, which takes a mount: {error:#}"));
        Vec::new()
    })
}

/// Unmounts what stands below a folder, of this run or of an earlier one that was cut off.
pub(super) fn take_away(below: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading the list of mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    for point in points.filter(|point| point.starts_with(below)) {
        umount2(point, MntFlags::MNT_DETACH)
            .with_context(|| format!("unmounting {}", point.display()))?;
    }
    Ok(())
}

impl Disk {
    fn mount(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        mount(Some("tmpfs"), &folder, Some("tmpfs"), MsFlags::empty(), Some(SIZE))
            .with_context(|| format!("mounting a tmpfs on {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Takes all the room that is left.
    pub(super) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.0.join(FILLER)).context("making the filler")?;
        let chunk = vec![0; CHUNK_BYTES];
        loop {
            match file.write(&chunk) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("filling the disk"),
            }
        }
    }

    pub(super) fn free(&self) -> Result<()> {
        fs::remove_file(self.0.join(FILLER)).context("freeing the disk")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_until_it_is_freed() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(disk) = Disk::mount(folder.path().join("disk")) else {
            // Not everybody may mount; `put_in` says so.
            return;
        };
        let other = disk.0.join("other");
        disk.fill().unwrap();
        let refused = fs::write(&other, b"x").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StorageFull);
        disk.free().unwrap();
        fs::write(&other, b"x").unwrap();
        take_away(folder.path()).unwrap();
        assert!(!other.exists());
    }
}
