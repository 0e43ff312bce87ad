//! `logs`: the log files of parts, as they are and as they grow.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{MissedTickBehavior, interval};

use crate::console;
use crate::folder::Folder;

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Reads what was added to a log since the last look, in whole lines.
pub struct Tail {
    folder: Folder,
    name: String,
    offset: u64,
    /// The beginning of a line that is not finished.
    rest: String,
}

impl Tail {
    /// The log of a part, by its name or its name without the number.
    ///
    /// # Errors
    /// When there is no such log.
    pub fn find(folder: &Folder, name: &str) -> Result<Self> {
        for name in [name.to_owned(), format!("{name}-1")] {
            if folder.part(&name).log_file().exists() {
                return Ok(Self::from_start(folder, &name));
            }
        }
        bail!("there is no log of {name} in {}", folder.logs().display())
    }

    #[must_use]
    pub fn from_start(folder: &Folder, name: &str) -> Self {
        Self { folder: folder.clone(), name: name.to_owned(), offset: 0, rest: String::new() }
    }

    /// Only what comes from now on.
    #[must_use]
    pub fn from_end(folder: &Folder, name: &str) -> Self {
        let tail = Self::from_start(folder, name);
        let size = folder.part(name).log_file().metadata().map_or(0, |found| found.len());
        Self { offset: size, ..tail }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// # Errors
    /// When the log is there and cannot be read.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        let part = self.folder.part(&self.name);
        let Ok(mut file) = File::open(part.log_file()) else { return Ok(vec![]) };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        self.offset += u64::try_from(bytes.len())?;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let Some((whole, rest)) = self.rest.rsplit_once('\n') else { return Ok(vec![]) };
        let (lines, rest) = (whole.lines().map(str::to_owned).collect(), rest.to_owned());
        self.rest = rest;
        Ok(lines)
    }
}

/// Prints a log, and goes on until it is interrupted if `follow`.
///
/// # Errors
/// When there is no such log or it cannot be read.
pub async fn print(folder: &Folder, name: &str, follow: bool) -> Result<()> {
    let mut tail = Tail::find(folder, name)?;
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tail.lines()?.iter().for_each(|line| console::line(line));
        if !follow {
            return Ok(());
        }
    }
}

/// Prints what all of these parts log from now on, each line with its part's name, until every part has
/// ended.
///
/// # Errors
/// When a log cannot be read.
pub async fn follow_all(folder: &Folder, names: &[String]) -> Result<()> {
    let mut tails: Vec<Tail> = names.iter().map(|name| Tail::from_end(folder, name)).collect();
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut is_running = false;
        for tail in &mut tails {
            for line in tail.lines()? {
                console::line(&format!("{:<14} {line}", tail.name()));
            }
            is_running |= folder.part(tail.name()).pid().await?.is_some();
        }
        if !is_running {
            return Ok(());
        }
    }
}
