//! What the engine tells operators.

use std::{collections::BTreeSet, error::Error, time::Duration};

use domain::{id::StreamId, shard::ShardId};
use infra::{
    log::Offset,
    telemetry::{
        Event, chain,
        metric::{Counter, Gauge, Histogram},
    },
};
use tracing::{error, info, warn};

use super::{
    effect::{Role, TakeOverReason},
    status::ShardStatus,
    store::Unreadable,
    streams::Lookups,
};

static TAKE_OVERS: Counter =
    Counter::new("tradewind_engine_take_overs_total", "Claims of a shard, by reason");
static SERVING: Gauge = Gauge::new("tradewind_engine_serving", "1 while the shard is served");
static PENDING: Gauge =
    Gauge::new("tradewind_engine_pending_commands", "Commands whose outcome is not settled");
static STREAMS: Gauge = Gauge::new("tradewind_engine_streams", "Aggregates in memory");
static REMEMBERED: Gauge =
    Gauge::new("tradewind_engine_remembered_commands", "Outcomes kept for retries");
static GROUP_RECORDS: Histogram =
    Histogram::new("tradewind_engine_group_records", "Records appended together");
static IN_FLIGHT: Gauge =
    Gauge::new("tradewind_engine_in_flight_records", "Records whose delivery is not reported yet");
static ACK_SECONDS: Histogram = Histogram::new(
    "tradewind_engine_ack_seconds",
    "Time from sending a group to the report of its last record",
);
static EPOCHS_ENDED: Counter = Counter::new(
    "tradewind_engine_epochs_ended_total",
    "Times that this writer's epoch ended: deposed, or frozen by a doubt, by reason",
);
static RECORDS_READ: Counter = Counter::new(
    "tradewind_engine_records_read_total",
    "Records read from the log: replays, holes, and shards that are followed",
);
static FORWARDED: Counter = Counter::new(
    "tradewind_engine_forwarded_total",
    "Questions taken to another node: submit or read, by what came of it",
);
static NOT_READABLE: Counter = Counter::new(
    "tradewind_engine_not_readable_total",
    "Commands refused because what they would record could not be read back",
);
static UNREADABLE: Counter =
    Counter::new("tradewind_engine_unreadable_streams_total", "Streams that had to be stopped");

static CACHE_HITS: Counter =
    Counter::new("tradewind_store_cache_hits_total", "Aggregates that were found in memory");
static CACHE_MISSES: Counter =
    Counter::new("tradewind_store_cache_misses_total", "Aggregates that the store was asked for");
static UNSAVED: Gauge = Gauge::new(
    "tradewind_store_unsaved_bytes",
    "About what waits in memory until the store has it",
);
static WRITE_SECONDS: Histogram =
    Histogram::new("tradewind_store_write_seconds", "Time that a batch took");
static STORE_BYTES: Gauge = Gauge::new("tradewind_store_bytes", "Size of the store on disk");
static STORE_WRITABLE: Gauge =
    Gauge::new("tradewind_store_writable", "0 while the store takes no writes");
static SNAPSHOTS: Counter = Counter::new(
    "tradewind_store_snapshots_total",
    "Snapshots, by shard and what became of them: left, failed, fetched, refused or unavailable",
);
static SNAPSHOT_POSITION: Gauge = Gauge::new(
    "tradewind_store_snapshot_position",
    "Offset up to which the last snapshot goes that this node left",
);
static SNAPSHOT_BYTES: Gauge =
    Gauge::new("tradewind_store_snapshot_bytes", "Size of the last snapshot that this node left");
static SNAPSHOT_SECONDS: Histogram =
    Histogram::new("tradewind_store_snapshot_seconds", "Time that leaving a snapshot took");
static CROWDED: Counter = Counter::new(
    "tradewind_command_crowded_total",
    "Requests refused because their shard had its share of waiting ones, by shard",
);
static UNREADABLE_ENTRIES: Counter = Counter::new(
    "tradewind_store_unreadable_entries_total",
    "Entries of the store that could not be decoded, by shard and table: state, outcome or deadline",
);
static REOPENED: Counter = Counter::new(
    "tradewind_store_reopened_total",
    "Stores that could not be read for now and were opened again as they were",
);
static DISCARDED: Counter =
    Counter::new("tradewind_store_discarded_total", "Stores that were of no use");

fn label(shard: ShardId) -> (&'static str, String) {
    ("shard", shard.to_string())
}

pub(super) struct TakingOver {
    pub(super) shard: ShardId,
    pub(super) reason: TakeOverReason,
}

impl Event for TakingOver {
    fn emit(self) {
        let Self { shard, reason } = self;
        TAKE_OVERS.add(&[label(shard), ("reason", reason.as_str().to_owned())], 1);
        let reason_text = reason.as_str();
        match reason {
            TakeOverReason::Appointed => info!(shard.id = %shard, "claiming shard {shard}"),
            _ => warn!(shard.id = %shard, reason = reason_text, "claiming shard {shard} again"),
        }
    }
}

/// This node has another part in the shard.
pub(super) struct RoleChanged {
    pub(super) shard: ShardId,
    pub(super) role: Role,
}

impl Event for RoleChanged {
    fn emit(self) {
        let Self { shard, role } = self;
        info!(shard.id = %shard, role = role.as_str(), "this node is {} of shard {shard}", role.as_str());
    }
}

/// The shard serves, or does so no longer.
pub(super) struct PhaseChanged<'a> {
    pub(super) status: &'a ShardStatus,
}

impl Event for PhaseChanged<'_> {
    fn emit(self) {
        let Self { status: ShardStatus { shard, phase, epoch, seq, .. } } = self;
        SERVING.set(&[label(*shard)], if self.status.serves() { 1.0 } else { 0.0 });
        info!(shard.id = %shard, epoch, seq, "shard {shard} is {phase:?}");
    }
}

/// Emitted with the regular tick, not per command.
pub(super) struct Ticked<'a> {
    pub(super) status: &'a ShardStatus,
    pub(super) in_flight: usize,
}

impl Event for Ticked<'_> {
    fn emit(self) {
        let labels = [label(self.status.shard)];
        let gauge = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        PENDING.set(&labels, gauge(self.status.pending));
        IN_FLIGHT.set(&labels, gauge(self.in_flight));
        STREAMS.set(&labels, gauge(self.status.streams));
        REMEMBERED.set(&labels, gauge(self.status.remembered));
    }
}

pub(super) struct GroupSent {
    pub(super) shard: ShardId,
    pub(super) records: usize,
}

impl Event for GroupSent {
    fn emit(self) {
        let records = f64::from(u32::try_from(self.records).unwrap_or(u32::MAX));
        GROUP_RECORDS.record(&[label(self.shard)], records);
    }
}

pub(super) struct GroupReported {
    pub(super) shard: ShardId,
    pub(super) took: Duration,
}

impl Event for GroupReported {
    fn emit(self) {
        ACK_SECONDS.record(&[label(self.shard)], self.took.as_secs_f64());
    }
}

/// The writer is given up, whether this node claims again or not.
pub(super) struct EpochEnded {
    pub(super) shard: ShardId,
    pub(super) reason: TakeOverReason,
}

impl Event for EpochEnded {
    fn emit(self) {
        let Self { shard, reason } = self;
        EPOCHS_ENDED.add(&[label(shard), ("reason", reason.as_str().to_owned())], 1);
    }
}

pub(super) struct RecordsRead {
    pub(super) shard: ShardId,
    pub(super) records: usize,
}

impl Event for RecordsRead {
    fn emit(self) {
        let records = u64::try_from(self.records).unwrap_or(u64::MAX);
        RECORDS_READ.add(&[label(self.shard)], records);
    }
}

/// A shard has as many requests waiting for it as it may have.
pub(super) struct ShardCrowded {
    pub(super) shard: ShardId,
}

impl Event for ShardCrowded {
    fn emit(self) {
        CROWDED.add(&[label(self.shard)], 1);
    }
}

/// Another node was asked, or given up for having lost the shard meanwhile.
pub(super) struct Forwarded {
    pub(super) question: &'static str,
    pub(super) result: &'static str,
}

impl Event for Forwarded {
    fn emit(self) {
        FORWARDED.add(&[("question", self.question), ("result", self.result)], 1);
    }
}

pub(super) struct StreamUnreadable<'a> {
    pub(super) shard: ShardId,
    pub(super) stream: &'a StreamId,
    pub(super) detail: &'a str,
}

impl Event for StreamUnreadable<'_> {
    fn emit(self) {
        let Self { shard, stream, detail } = self;
        UNREADABLE.add(&[label(shard)], 1);
        error!(shard.id = %shard, %stream, "stream {stream} is stopped: {detail}");
    }
}

/// One entry of the store concerns nobody but who asks for it.
pub(super) struct EntryUnreadable<'a> {
    pub(super) shard: ShardId,
    pub(super) entry: &'a Unreadable,
}

impl Event for EntryUnreadable<'_> {
    fn emit(self) {
        let Self { shard, entry } = self;
        let table = match entry {
            Unreadable::State { .. } => "state",
            Unreadable::Outcome { .. } => "outcome",
            Unreadable::Deadline { .. } => "deadline",
        };
        UNREADABLE_ENTRIES.add(&[label(shard), ("table", table.to_owned())], 1);
        match entry {
            Unreadable::State { stream, detail } => {
                let detail = format!("its stored state cannot be decoded: {detail}");
                StreamUnreadable { shard, stream, detail: &detail }.emit();
            }
            Unreadable::Outcome { command_id, detail } => error!(
                shard.id = %shard,
                "what became of command {command_id} cannot be decoded, so it is not carried out \
                 again: {detail}"
            ),
            Unreadable::Deadline { detail } => error!(
                shard.id = %shard,
                "a deadline of shard {shard} cannot be decoded and is passed over: {detail}"
            ),
        }
    }
}

pub(super) struct RecordNotReadable<'a> {
    pub(super) shard: ShardId,
    pub(super) stream: &'a StreamId,
    pub(super) detail: &'a str,
}

impl Event for RecordNotReadable<'_> {
    fn emit(self) {
        let Self { shard, stream, detail } = self;
        NOT_READABLE.add(&[label(shard)], 1);
        error!(shard.id = %shard, %stream, "a command on {stream} was refused, a bug: {detail}");
    }
}

pub(super) struct WriterFailed<'a> {
    pub(super) shard: ShardId,
    pub(super) error: &'a (dyn Error + 'static),
}

impl Event for WriterFailed<'_> {
    fn emit(self) {
        let Self { shard, error } = self;
        warn!(shard.id = %shard, "shard {shard} has no writer: {}", chain(error));
    }
}

/// With the regular tick.
pub(super) struct CacheAsked {
    pub(super) shard: ShardId,
    pub(super) lookups: Lookups,
    pub(super) unsaved_bytes: usize,
}

impl Event for CacheAsked {
    fn emit(self) {
        let labels = [label(self.shard)];
        CACHE_HITS.add(&labels, self.lookups.hits);
        CACHE_MISSES.add(&labels, self.lookups.misses);
        UNSAVED.set(&labels, f64::from(u32::try_from(self.unsaved_bytes).unwrap_or(u32::MAX)));
    }
}

pub(super) struct StoreWritten {
    pub(super) shard: ShardId,
    pub(super) took: Duration,
    /// Of the whole store.
    pub(super) bytes: u64,
}

impl Event for StoreWritten {
    #[expect(clippy::cast_precision_loss, reason = "a store of 2^53 bytes fits no disk")]
    fn emit(self) {
        let labels = [label(self.shard)];
        WRITE_SECONDS.record(&labels, self.took.as_secs_f64());
        STORE_BYTES.set(&labels, self.bytes as f64);
        STORE_WRITABLE.set(&labels, 1.0);
    }
}

/// The first failure; those that follow are no news.
pub(super) struct StoreUnwritable<'a> {
    pub(super) shard: ShardId,
    pub(super) error: &'a (dyn Error + 'static),
}

impl Event for StoreUnwritable<'_> {
    fn emit(self) {
        let Self { shard, error } = self;
        STORE_WRITABLE.set(&[label(shard)], 0.0);
        error!(
            shard.id = %shard,
            "the store of shard {shard} takes no writes; what changes stays in memory until it \
             does: {}",
            chain(error)
        );
    }
}

pub(super) struct StoreRecovered {
    pub(super) shard: ShardId,
}

impl Event for StoreRecovered {
    fn emit(self) {
        let Self { shard } = self;
        info!(shard.id = %shard, "the store of shard {shard} takes writes again");
    }
}

pub(super) struct StoreOpened {
    pub(super) shard: ShardId,
    pub(super) next_offset: Option<Offset>,
}

impl Event for StoreOpened {
    fn emit(self) {
        let Self { shard, next_offset } = self;
        match next_offset {
            Some(offset) => {
                info!(shard.id = %shard, offset, "shard {shard} goes on at offset {offset}");
            }
            None => info!(shard.id = %shard, "shard {shard} is read from its beginning"),
        }
    }
}

pub(super) struct StatesRefolded<'a> {
    pub(super) shard: ShardId,
    pub(super) aggregates: &'a BTreeSet<String>,
    pub(super) events: u64,
    pub(super) took: Duration,
}

impl Event for StatesRefolded<'_> {
    fn emit(self) {
        let Self { shard, aggregates, events, took } = self;
        let aggregates = aggregates.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        info!(
            shard.id = %shard, aggregates, events, took_ms = took.as_millis(),
            "states of shard {shard} were folded anew, for another release has made them: {aggregates}"
        );
    }
}

pub(super) struct StoreDiscarded<'a> {
    pub(super) shard: ShardId,
    pub(super) reason: &'a str,
}

impl Event for StoreDiscarded<'_> {
    fn emit(self) {
        let Self { shard, reason } = self;
        DISCARDED.add(&[label(shard)], 1);
        warn!(
            shard.id = %shard,
            "the store of shard {shard} is of no use and is built anew from the log: {reason}"
        );
    }
}

pub(super) struct StoreUnavailable<'a> {
    pub(super) shard: ShardId,
    pub(super) error: &'a (dyn Error + 'static),
}

impl Event for StoreUnavailable<'_> {
    fn emit(self) {
        let Self { shard, error } = self;
        warn!(shard.id = %shard, "shard {shard} waits for its store: {}", chain(error));
    }
}

/// The shard goes back to what its store has, as soon as the system lets it.
pub(super) struct StoreReopened<'a> {
    pub(super) shard: ShardId,
    pub(super) error: &'a (dyn Error + 'static),
}

impl Event for StoreReopened<'_> {
    fn emit(self) {
        let Self { shard, error } = self;
        REOPENED.add(&[label(shard)], 1);
        error!(
            shard.id = %shard,
            "the store of shard {shard} cannot be read for now and is opened again: {}",
            chain(error)
        );
    }
}

pub(super) struct SnapshotLeft {
    pub(super) shard: ShardId,
    pub(super) next_offset: Offset,
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

impl Event for SnapshotLeft {
    #[expect(clippy::cast_precision_loss, reason = "neither offsets nor sizes come near 2^53")]
    fn emit(self) {
        let Self { shard, next_offset, bytes, took } = self;
        let labels = [label(shard)];
        SNAPSHOTS.add(&[label(shard), ("result", "left".to_owned())], 1);
        SNAPSHOT_POSITION.set(&labels, next_offset as f64);
        SNAPSHOT_BYTES.set(&labels, bytes as f64);
        SNAPSHOT_SECONDS.record(&labels, took.as_secs_f64());
        info!(
            shard.id = %shard, offset = next_offset, bytes,
            "left a snapshot of shard {shard} up to offset {next_offset} in {took:.1?}"
        );
    }
}

pub(super) struct SnapshotFailed<'a> {
    pub(super) shard: ShardId,
    pub(super) error: &'a (dyn Error + 'static),
}

impl Event for SnapshotFailed<'_> {
    fn emit(self) {
        let Self { shard, error } = self;
        SNAPSHOTS.add(&[label(shard), ("result", "failed".to_owned())], 1);
        warn!(
            shard.id = %shard,
            "no snapshot of shard {shard} could be left, which is tried again: {}",
            chain(error)
        );
    }
}

pub(super) struct SnapshotFetched<'a> {
    pub(super) shard: ShardId,
    pub(super) name: &'a str,
    pub(super) next_offset: Offset,
    pub(super) took: Duration,
}

impl Event for SnapshotFetched<'_> {
    fn emit(self) {
        let Self { shard, name, next_offset, took } = self;
        SNAPSHOTS.add(&[label(shard), ("result", "fetched".to_owned())], 1);
        info!(
            shard.id = %shard, offset = next_offset,
            "fetched snapshot {name} of shard {shard} in {took:.1?}"
        );
    }
}

/// The next older one is tried, and then the log.
pub(super) struct SnapshotRefused<'a> {
    pub(super) shard: ShardId,
    pub(super) name: &'a str,
    pub(super) reason: &'a str,
}

impl Event for SnapshotRefused<'_> {
    fn emit(self) {
        let Self { shard, name, reason } = self;
        SNAPSHOTS.add(&[label(shard), ("result", "refused".to_owned())], 1);
        warn!(shard.id = %shard, "snapshot {name} of shard {shard} is of no use: {reason}");
    }
}

pub(super) struct SnapshotsUnavailable<'a> {
    pub(super) shard: ShardId,
    pub(super) error: &'a (dyn Error + 'static),
}

impl Event for SnapshotsUnavailable<'_> {
    fn emit(self) {
        let Self { shard, error } = self;
        SNAPSHOTS.add(&[label(shard), ("result", "unavailable".to_owned())], 1);
        warn!(
            shard.id = %shard,
            "the snapshots of shard {shard} cannot be looked at, so its log is read: {}",
            chain(error)
        );
    }
}
