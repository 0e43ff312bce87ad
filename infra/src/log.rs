//! The event log: one append-only sequence of records per shard, kept by Apache Kafka.
//!
//! This is the port that everyone else sees: [`EventLog`] opens writers and readers, [`record`]
//! holds what they carry, and [`reader`] is the pure machine that tells which records count.
//! [`kafka`] is the real thing, [`memory`] stands in for it in tests and simulations.
//!
//! **Invariant:** a writer never retries, waits or decides. It enqueues records and reports, in its
//! own order, what became of each; what that means is the business of the reader machine.

pub mod reader;
pub mod record;

mod wire;

pub mod schema;

pub mod follow;
pub mod join;
pub mod kafka;
pub mod memory;
pub mod mistake;
pub mod progress;

#[cfg(any(test, feature = "testing"))]
pub mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
#[cfg(any(test, feature = "testing"))]
pub mod owner;
#[cfg(any(test, feature = "testing"))]
pub mod sample;

use std::{collections::VecDeque, error::Error, fmt, ops::Range, str::FromStr, time::Duration};

use async_trait::async_trait;
use domain::{StreamType, shard::ShardId, timestamp::Timestamp};
use tokio::sync::mpsc;

use crate::text::{from_hex, serde_as_text};

pub use reader::{Checkpoint, Commit, CommitBody, Halt, Ignored, Reader, Stepped};
pub use record::{
    BarrierRecord, Body, ClaimInfo, ClaimRecord, EventRecord, ForeignReason, LogRecord,
    OutcomeRecord, OutgoingRecord, Place, RequestHash,
};

/// Position of a record in its shard, from 0 and without holes.
pub type Offset = i64;

/// What tells one log of a shard from another that was made in its place: the nonce of the claim
/// at the shard's first offset.
pub type LogId = Nonce;

/// What another layer said, for logs.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A writer, and what becomes of the records that it appends.
pub type Opened = (Box<dyn LogWriter>, mpsc::Receiver<Report>);

/// Where commits are written to and read from.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    fn shard_count(&self) -> u32;

    /// Opens a fresh producer. Its reports arrive on the bounded channel, in the producer's order;
    /// a full channel holds the producer back and loses nothing.
    async fn open_writer(&self, shard: ShardId) -> Result<Opened, OpenError>;

    async fn open_reader(
        &self,
        shard: ShardId,
        from: Offset,
        prefetch: Prefetch,
    ) -> Result<Box<dyn LogReader>, ReadError>;

    /// The first offset and the offset after the last record.
    async fn range(&self, shard: ShardId) -> Result<Range<Offset>, ReadError>;

    /// An offset before which no record was written at this time or later, by the log's own index: at
    /// the worst the first one.
    async fn offset_at(&self, shard: ShardId, _: Timestamp) -> Result<Offset, ReadError> {
        Ok(self.range(shard).await?.start)
    }
}

/// What a reader asks the log for before it is read.
///
/// Reading at intervals, who asks for little costs one request for each of them, and not one for each
/// group of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefetch {
    /// As much as there is room for: for who has far to go.
    Ahead,
    /// Nothing while something waits to be read: for a look at some records.
    Level,
    /// As much as there is room for until it is level with the log, then what comes, a little at a time and
    /// together with all of this process that are: for who follows the log's end.
    Tail,
}

/// The appending end of one producer. Dropping it ends the producer: what is still under way may
/// or may not land, and is not reported any more.
pub trait LogWriter: Send {
    /// Enqueues a record and returns at once; the report bears the ticket.
    ///
    /// # Errors
    /// The record was not enqueued, so it will never be in the log.
    fn append(&mut self, record: &OutgoingRecord, ticket: Ticket) -> Result<(), AppendError>;

    /// Enqueues records in order and takes those away that it has enqueued.
    ///
    /// # Errors
    /// The record that is the first one then, and those behind it, were not enqueued.
    fn append_all(
        &mut self,
        records: &mut VecDeque<(OutgoingRecord, Ticket)>,
    ) -> Result<(), AppendError> {
        while let Some((record, ticket)) = records.front() {
            self.append(record, *ticket)?;
            records.pop_front();
        }
        Ok(())
    }
}

/// The reading end: all records of a shard in offset order.
#[async_trait]
pub trait LogReader: Send {
    /// The next 1 to `max` records as soon as there is one, or none after `wait`. Dropping the
    /// future loses no record.
    ///
    /// While the log cannot be reached, this waits like at the end of the log.
    async fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<LogRecord>, ReadError>;

    /// From now on the values of events of other streams than of these types may be empty: a reader of a
    /// few need not copy all. They are events all the same, by the same rules.
    fn want_only(&mut self, _types: &[StreamType]) {}
}

/// Names a record to the one who appended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub epoch: Offset,
    pub seq: u64,
    pub index: u32,
}

impl Ticket {
    /// The ticket of a claim, which has no place in any epoch yet.
    pub const CLAIM: Self = Self { epoch: -1, seq: 0, index: 0 };
}

/// What became of an appended record, as far as its producer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub ticket: Ticket,
    /// `Ok(None)`: it is in the log, but the producer was not told where.
    pub result: Result<Option<Offset>, DeliveryError>,
}

/// The producer gave up on a record, which may be in the log all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record was reported as not delivered: {reason}")]
pub struct DeliveryError {
    pub reason: String,
}

/// The record was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It has room again as soon as reports come in.
    #[error("the producer's queue is full")]
    QueueFull,
    /// This producer takes no more records.
    #[error("the producer failed")]
    Fatal(#[source] BoxError),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the log has no shard {0}")]
    NoSuchShard(ShardId),
    #[error("the producer could not be made")]
    Failed(#[source] BoxError),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the log has no shard {0}")]
    NoSuchShard(ShardId),
    /// Records that the reader needs are gone, or the log ends before them.
    #[error("the log does not hold offset {offset}")]
    OutOfRange { offset: Offset },
    /// Written by another release: going on without it would be wrong.
    #[error("the record at offset {offset} is of log version {version}, which this release cannot read: {}", advice(*version))]
    UnsupportedVersion { offset: Offset, version: u64 },
    /// The sequence of records has a hole.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// The checkpoint was made from another log of this name.
    #[error("the checkpoint is of log {expected}, which is not the one that is here")]
    Recreated { expected: LogId, found: Option<LogId> },
    /// No answer in time; it may come later.
    #[error("the log cannot be reached")]
    Unavailable(#[source] BoxError),
    /// Asking again gives the same answer.
    #[error("the log cannot be read")]
    Failed(#[source] BoxError),
}

/// What to do about a record of another version.
const fn advice(version: u64) -> &'static str {
    match version {
        0 | 1 => "make the topic anew, for nothing reads that version any more",
        _ => "run the release that wrote it, or a later one",
    }
}

/// A random number that a claim bears, so that its writer recognises it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u64);

impl Nonce {
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 16 lower-case hex digits")]
pub struct InvalidNonce;

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Nonce {
    type Err = InvalidNonce;

    fn from_str(text: &str) -> Result<Self, InvalidNonce> {
        from_hex(text.as_bytes()).map(|bytes| Self(u64::from_be_bytes(bytes))).ok_or(InvalidNonce)
    }
}

serde_as_text!(Nonce);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonce_is_sixteen_hex_digits() {
        assert_eq!(Nonce(0xab).to_string(), "00000000000000ab");
        assert_eq!("00000000000000ab".parse(), Ok(Nonce(0xab)));
        for bad in ["", "ab", "00000000000000AB", "+0000000000000ab", "00000000000000abc"] {
            assert_eq!(bad.parse::<Nonce>(), Err(InvalidNonce), "{bad}");
        }
    }
}
