//! Where a stack keeps what it knows: one folder, `.stack/` for the developer's own.
//!
//! ```text
//! dev.env       what clients need: URLs, keys (mode 0600)
//! secrets.json  passwords, made once (mode 0600)
//! stack.json    what was decided at `up`: ports, shards, whose servers
//! size.json     of how many parts the stack was before `down`
//! logs/<part>.log   pids/<part>   data/<part>/   conf/
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::Part;

/// Folders in the developer's own that belong to other stacks.
pub const OTHER_STACKS: [&str; 2] = ["tests", "faults"];

#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The developer's stack in the workspace that this was built in.
    #[must_use]
    pub fn of_workspace() -> Self {
        Self { root: workspace().join(".stack") }
    }

    /// The servers that tests share, apart from the developer's.
    #[must_use]
    pub fn of_tests() -> Self {
        Self { root: workspace().join(".stack/tests") }
    }

    /// The stack that faults are made in, apart from the developer's.
    #[must_use]
    pub fn of_faults() -> Self {
        Self { root: workspace().join(".stack/faults") }
    }

    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    #[must_use]
    pub fn data(&self, part: &str) -> PathBuf {
        self.path("data").join(part)
    }

    #[must_use]
    pub fn part(&self, name: &str) -> Part {
        Part::new(name, &self.path("pids"), &self.logs())
    }

    /// # Errors
    /// When the folder cannot be made.
    pub fn create(&self) -> Result<()> {
        for folder in ["logs", "pids", "data", "conf"] {
            let path = self.path(folder);
            fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        }
        Ok(())
    }

    /// Waits until no other process changes this stack, and keeps others out until the file is dropped.
    ///
    /// # Errors
    /// When the lock file cannot be made or locked.
    pub async fn lock(&self) -> Result<File> {
        lock_file(&self.path("lock")).await
    }

    /// Writes a file that only its owner may read, in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_private(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        let new = path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .with_context(|| format!("writing {}", new.display()))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
}

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// Takes an exclusive lock on a file, off the async threads.
///
/// # Errors
/// When the file cannot be made or locked.
pub async fn lock_file(path: &Path) -> Result<File> {
    let path = path.to_owned();
    let locked = tokio::task::spawn_blocking(move || -> std::io::Result<File> {
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await?.context("taking a lock file")
}

/// Whether another user may reach `path`: every folder above it may be passed by all.
#[must_use]
pub fn is_reachable_by_all(path: &Path) -> bool {
    path.ancestors().filter(|folder| folder.exists()).all(|folder| {
        fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::workspace;

    #[test]
    fn the_workspace_is_the_folder_of_all_packages() {
        assert!(workspace().join("Cargo.lock").is_file() && workspace().join("domain").is_dir());
    }
}
