//! What the clients of a run saw, in the words of their side: the auditors hold it against the log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use infra::position::Position;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::action::Action;
use super::plan::Kind;

/// Microseconds since the run began, by one clock for all clients.
pub(super) type Micros = u64;

/// How far a client has seen: the offset after the last record, per shard.
pub(super) type Seen = BTreeMap<u32, i64>;

#[derive(Debug, Default, Serialize)]
pub(super) struct Entries {
    pub(super) commands: Vec<Command>,
    pub(super) reads: Vec<Read>,
    pub(super) faults: Vec<Fault>,
    pub(super) looks: Vec<Look>,
    pub(super) slow_commits: Vec<SlowCommit>,
    /// What a client itself saw go wrong.
    pub(super) complaints: Vec<String>,
    /// Commands that were sent again after their answer, and got the same.
    pub(super) replays: u64,
}

/// One command, with all tries of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Command {
    pub(super) client: usize,
    pub(super) key: String,
    pub(super) command_id: Uuid,
    #[serde(flatten)]
    pub(super) action: Action,
    pub(super) if_match: Option<u64>,
    /// When it was first sent.
    pub(super) began: Micros,
    pub(super) tries: u32,
    /// Nothing if no answer ever came: then it may have happened or not.
    pub(super) answer: Option<Answer>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    pub(super) at: Micros,
    pub(super) node: usize,
    pub(super) status: u16,
    /// Of a refusal.
    pub(super) code: String,
    pub(super) detail: String,
    pub(super) revision: u64,
    pub(super) events: Vec<String>,
    pub(super) seen: Seen,
}

/// One look at a stock in the read models.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Read {
    pub(super) client: usize,
    pub(super) sku: String,
    pub(super) began: Micros,
    /// The position that was asked for.
    pub(super) asked: Seen,
    /// The one that the answer names.
    pub(super) seen: Seen,
    pub(super) revision: u64,
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
}

/// Where a projection was, beside one that something befell.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Look {
    pub(super) at: Micros,
    pub(super) projection: String,
    pub(super) shard: u32,
    pub(super) next_offset: i64,
}

/// The time that PostgreSQL took to put a transaction on its disk that had nothing to wait for but that.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct SlowCommit {
    pub(super) began: Micros,
    pub(super) ended: Micros,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) what: String,
    pub(super) began: Micros,
    /// When all was whole again.
    pub(super) healed: Micros,
}

/// Written by many, read when all have ended.
pub(super) struct History {
    began: Instant,
    entries: Mutex<Entries>,
}

impl History {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), entries: Mutex::default() }
    }

    pub(super) fn now(&self) -> Micros {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    pub(super) fn record<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take(&self) -> Entries {
        self.record(std::mem::take)
    }
}

impl Entries {
    /// One JSON object per line.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        let mut file = BufWriter::new(file);
        lines(&mut file, "fault", &self.faults)?;
        lines(&mut file, "command", &self.commands)?;
        lines(&mut file, "read", &self.reads)?;
        lines(&mut file, "look", &self.looks)?;
        lines(&mut file, "slow_commit", &self.slow_commits)?;
        lines(&mut file, "complaint", &self.complaints)?;
        Ok(file.flush()?)
    }
}

fn lines(file: &mut impl Write, entry: &str, all: &[impl Serialize]) -> Result<()> {
    for one in all {
        serde_json::to_writer(&mut *file, &serde_json::json!({ entry: one }))?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// A `Tradewind-Position` taken apart, which only auditors may do.
pub(super) fn seen(token: &str) -> Option<Seen> {
    let position: Position = token.parse().ok()?;
    let entries = position.entries();
    Some(entries.map(|entry| (entry.shard.index(), entry.next_offset)).collect())
}
