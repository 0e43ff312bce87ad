//! A reader and the machine together: the commits of a shard, one after the other.
//!
//! For everyone who only reads: projectors, process managers, tools. A writer feeds its own
//! machine with delivery reports and does not come here.

use std::time::Duration;

use domain::{StreamType, shard::ShardId};
use tokio::time::Instant;

use super::{
    Checkpoint, Commit, EventLog, Halt, Ignored, LogId, LogReader, Offset, Prefetch, ReadError,
    Reader, Stepped,
    record::{Body, LogRecord},
};
use crate::telemetry::{Event, emit, metric::Counter};

/// How long [`Follower::next`] stays at the end of the log before it answers with nothing.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// How long the first records may take that tell which log this is.
const LOG_ID_WAIT_MAX: Duration = Duration::from_secs(10);

static RECORDS_IGNORED: Counter = Counter::new(
    "tradewind_log_records_ignored_total",
    "Records that a reader passed over, by reason",
);

/// Follows one shard from a checkpoint on.
pub struct Follower {
    source: Box<dyn LogReader>,
    machine: Reader,
    halted: Option<Halt>,
}

impl Follower {
    /// Opens the shard at the checkpoint, or at its beginning.
    ///
    /// # Errors
    /// [`ReadError::Recreated`] if the checkpoint is of another log than the one that is there.
    pub async fn open(
        log: &dyn EventLog,
        shard: ShardId,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self, ReadError> {
        Self::with(log, shard, checkpoint, Prefetch::Ahead).await
    }

    /// The same, for who is level with the log nearly always.
    ///
    /// # Errors
    /// As those of [`Self::open`].
    pub async fn tail(
        log: &dyn EventLog,
        shard: ShardId,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self, ReadError> {
        Self::with(log, shard, checkpoint, Prefetch::Tail).await
    }

    async fn with(
        log: &dyn EventLog,
        shard: ShardId,
        checkpoint: Option<Checkpoint>,
        prefetch: Prefetch,
    ) -> Result<Self, ReadError> {
        let checkpoint = checkpoint.unwrap_or_default();
        if let Some(expected) = checkpoint.log_id {
            let found = log_id(log, shard).await?;
            if found != Some(expected) {
                return Err(ReadError::Recreated { expected, found });
            }
        }
        let source = log.open_reader(shard, checkpoint.next_offset, prefetch).await?;
        Ok(Self { source, machine: Reader::resume(checkpoint), halted: None })
    }

    /// The values of events of streams of other types may be empty from now on.
    pub fn want_only(&mut self, types: &[StreamType]) {
        self.source.want_only(types);
    }

    /// Reads up to `max` records as soon as there are any and returns the commits that they
    /// complete: none if they complete none, or if none came for a second.
    ///
    /// Dropping the future loses nothing: the next call goes on where this one was.
    ///
    /// # Errors
    /// After an error the commits before it have been returned, and no call will return more.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Commit>, ReadError> {
        if let Some(halt) = self.halted {
            return Err(halt.into());
        }
        let records = self.source.read(max, IDLE_MAX).await?;
        let (commits, halted) = step_all(&mut self.machine, records);
        self.halted = halted;
        match halted {
            Some(halt) if commits.is_empty() => Err(halt.into()),
            _ => Ok(commits),
        }
    }

    /// After the last commit that was returned.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.machine.checkpoint()
    }

    /// Offset of the next record to be read; beyond the checkpoint where records did not count or
    /// a commit is not complete yet.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.machine.next_offset()
    }
}

/// The id of a shard's log; none before its first claim.
///
/// # Errors
/// The log cannot be read.
pub async fn log_id(log: &dyn EventLog, shard: ShardId) -> Result<Option<LogId>, ReadError> {
    let deadline = Instant::now() + LOG_ID_WAIT_MAX;
    let range = log.range(shard).await?;
    let mut source = log.open_reader(shard, range.start, Prefetch::Level).await?;
    let mut next = range.start;
    // The claim is the first record, unless something foreign got in before it.
    while next < range.end {
        let wait = deadline.saturating_duration_since(Instant::now());
        let records = source.read(1, wait).await?;
        let Some(LogRecord { offset, body }) = records.into_iter().next() else {
            return Err(ReadError::Unavailable("the first records did not come in time".into()));
        };
        if let Body::Claim(claim) = body {
            return Ok(Some(claim.nonce));
        }
        next = offset + 1;
    }
    Ok(None)
}

fn step_all(machine: &mut Reader, records: Vec<LogRecord>) -> (Vec<Commit>, Option<Halt>) {
    let mut commits = Vec::new();
    let mut ignored = IgnoredRecords::default();
    for record in records {
        match machine.step(record) {
            Ok(Stepped::Commit(commit)) => commits.push(commit),
            Ok(Stepped::Ignored(reason)) => ignored.count(reason),
            Ok(Stepped::Claimed { .. } | Stepped::Partial) => {}
            Err(halt) => return (commits, Some(halt)),
        }
    }
    emit(ignored);
    (commits, None)
}

/// The records of a batch that did not count.
#[derive(Debug, Default)]
struct IgnoredRecords(Vec<(Ignored, u64)>);

impl IgnoredRecords {
    fn count(&mut self, reason: Ignored) {
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.0.push((reason, 1)),
        }
    }
}

impl Event for IgnoredRecords {
    fn emit(self) {
        for (reason, count) in self.0 {
            RECORDS_IGNORED.add(&[("reason", reason.as_str())], count);
            // Stale records are what a fail-over leaves behind; nobody needs to act.
            tracing::debug!(count, reason = reason.as_str(), "passed over records of the log");
        }
    }
}

#[cfg(test)]
mod tests;
