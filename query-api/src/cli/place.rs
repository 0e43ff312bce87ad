//! Where a replay goes on that is written to a file: its cursor, kept beside it.
//!
//! **Invariant:** the cursor is stored when what is before it has been written. What a file has beyond
//! it was cut off, and is written again. A place without a cursor is stored before there is a file.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Usage;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// What was asked for.
    pub(super) query: String,
    pub(super) cursor: Option<String>,
    /// Of the file, up to the cursor.
    pub(super) bytes: u64,
    /// Records of the log that are still to be read; none before the first answer.
    pub(super) left: Option<u64>,
    /// Whether the file is this replay's own.
    #[serde(skip)]
    is_kept: bool,
}

impl Place {
    /// The place that was kept, or the beginning.
    ///
    /// # Errors
    /// It is of something else.
    pub(super) fn load(file: Option<&Path>, query: &str) -> Result<Self> {
        let first = Self { query: query.to_owned(), ..Self::default() };
        let Some(file) = file.filter(|file| file.exists()) else { return Ok(first) };
        let text =
            fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let name = file.display();
        let found: Self = serde_json::from_str(&text)
            .map_err(|error| Usage(format!("{name} holds no cursor of a replay: {error}")))?;
        if found.query != query {
            let asked = if found.query.is_empty() { "everything" } else { &found.query };
            let told = format!(
                "{name} is of another replay, of {asked}: ask for the same, take another --out or \
                 --cursor-file, or remove it to begin anew"
            );
            return Err(Usage(told).into());
        }
        Ok(Self { is_kept: true, ..found })
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// # Errors
    /// The file cannot be written.
    pub(super) fn store(&self, file: Option<&Path>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        let mut fresh = PathBuf::from(file).into_os_string();
        fresh.push(".new");
        let written = File::create(&fresh).and_then(|mut fresh| {
            fresh.write_all(&serde_json::to_vec(self)?)?;
            fresh.sync_data()
        });
        written
            .and_then(|()| fs::rename(&fresh, file))
            .with_context(|| format!("writing {}", file.display()))
    }

    /// The file, behind what was written before the cursor; a new private one is its owner's alone.
    ///
    /// # Errors
    /// It has less than that, is somebody else's, or cannot be opened.
    pub(super) fn open(
        &mut self,
        out: &Path,
        kept: Option<&Path>,
        is_private: bool,
    ) -> Result<File> {
        let name = out.display();
        if !self.is_kept {
            if out.metadata().is_ok_and(|file| file.len() > 0) {
                let told = format!("{name} is there, and there is no cursor to go on from");
                return Err(Usage(told).into());
            }
            self.store(kept)?;
            self.is_kept = true;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        if is_private {
            options.mode(0o600);
        }
        let file = options.open(out);
        let mut file = file.with_context(|| format!("opening {name}"))?;
        let length = file.metadata()?.len();
        if length < self.bytes {
            let told = format!(
                "{name} has {length} bytes, but its cursor is behind {}: remove both to begin anew",
                self.bytes
            );
            return Err(Usage(told).into());
        }
        file.set_len(self.bytes)?;
        file.seek(SeekFrom::Start(self.bytes))?;
        Ok(file)
    }

    /// So many bytes more have been written, and a cursor came behind them.
    pub(super) fn advance(&mut self, bytes: usize, cursor: String, left: u64) {
        self.bytes += u64::try_from(bytes).unwrap_or_default();
        (self.cursor, self.left) = (Some(cursor), Some(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_beyond_the_cursor_is_written_again() {
        let folder = std::env::temp_dir().join(format!("replay-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        let (out, kept) = (folder.join("a"), folder.join("a.cursor"));
        let mut place = Place::load(Some(&kept), "type=order.*").unwrap();
        drop(place.open(&out, Some(&kept), true).unwrap());
        fs::write(&out, "o").unwrap();

        // Killed before the first cursor.
        let mut place = Place::load(Some(&kept), "type=order.*").unwrap();
        let mut file = place.open(&out, Some(&kept), true).unwrap();
        file.write_all(b"one\ntw").unwrap();
        place.advance(4, "c1".to_owned(), 7);
        place.store(Some(&kept)).unwrap();
        drop(file);

        let mut place = Place::load(Some(&kept), "type=order.*").unwrap();
        assert_eq!((place.cursor.as_deref(), place.is_done()), (Some("c1"), false));
        let mut file = place.open(&out, Some(&kept), true).unwrap();
        file.write_all(b"two\n").unwrap();
        place.advance(4, "c2".to_owned(), 0);
        place.store(Some(&kept)).unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "one\ntwo\n");
        assert!(Place::load(Some(&kept), "type=order.*").unwrap().is_done());

        assert!(Place::load(Some(&kept), "").unwrap_err().is::<Usage>());
        fs::write(&out, "o").unwrap();
        assert!(place.open(&out, Some(&kept), true).unwrap_err().is::<Usage>());
        let mut other = Place::load(None, "").unwrap();
        assert!(other.open(&out, None, false).unwrap_err().is::<Usage>(), "it is not this one's");
        fs::remove_dir_all(folder).unwrap();
    }
}
