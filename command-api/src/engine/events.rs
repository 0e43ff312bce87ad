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

type Cause<'a> = &'a (dyn Error + 'static);

fn label(shard: ShardId) -> (&'static str, String) {
    ("shard", shard.to_string())
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What happens to a shard, its store or its snapshots.
pub(super) struct OfShard<T>(pub(super) ShardId, pub(super) T);

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

pub(super) enum ShardEvent<'a> {
    TakingOver(TakeOverReason),
    /// This node has another part in the shard.
    RoleChanged(Role),
    /// The shard serves, or does so no longer.
    PhaseChanged(&'a ShardStatus),
    /// The writer is given up, whether this node claims again or not.
    EpochEnded(TakeOverReason),
    /// Of so many records.
    GroupSent(usize),
    /// So long after it was sent.
    GroupReported(Duration),
    RecordsRead(usize),
    /// It has as many requests waiting for it as it may have.
    Crowded,
    StreamUnreadable {
        stream: &'a StreamId,
        detail: &'a str,
    },
    RecordNotReadable {
        stream: &'a StreamId,
        detail: &'a str,
    },
    WriterFailed(Cause<'a>),
}

impl Event for OfShard<ShardEvent<'_>> {
    fn emit(self) {
        let Self(shard, event) = self;
        let labels = [label(shard)];
        let because = |reason: TakeOverReason| ("reason", reason.as_str().to_owned());
        match event {
            ShardEvent::TakingOver(reason) => {
                TAKE_OVERS.add(&[label(shard), because(reason)], 1);
                if reason == TakeOverReason::Appointed {
                    info!(shard.id = %shard, "claiming shard {shard}");
                } else {
                    let reason = reason.as_str();
                    warn!(shard.id = %shard, reason, "claiming shard {shard} again");
                }
            }
            ShardEvent::RoleChanged(role) => {
                let role = role.as_str();
                info!(shard.id = %shard, role, "this node is {role} of shard {shard}");
            }
            ShardEvent::PhaseChanged(status) => {
                let ShardStatus { phase, epoch, seq, .. } = status;
                SERVING.set(&labels, if status.serves() { 1.0 } else { 0.0 });
                info!(shard.id = %shard, epoch, seq, "shard {shard} is {phase:?}");
            }
            ShardEvent::EpochEnded(reason) => EPOCHS_ENDED.add(&[label(shard), because(reason)], 1),
            ShardEvent::GroupSent(records) => GROUP_RECORDS.record(&labels, number(records)),
            ShardEvent::GroupReported(took) => ACK_SECONDS.record(&labels, took.as_secs_f64()),
            ShardEvent::RecordsRead(records) => {
                RECORDS_READ.add(&labels, u64::try_from(records).unwrap_or(u64::MAX));
            }
            ShardEvent::Crowded => CROWDED.add(&labels, 1),
            ShardEvent::StreamUnreadable { stream, detail } => {
                UNREADABLE.add(&labels, 1);
                error!(shard.id = %shard, %stream, "stream {stream} is stopped: {detail}");
            }
            ShardEvent::RecordNotReadable { stream, detail } => {
                NOT_READABLE.add(&labels, 1);
                error!(
                    shard.id = %shard, %stream,
                    "a command on {stream} was refused, a bug: {detail}"
                );
            }
            ShardEvent::WriterFailed(error) => {
                warn!(shard.id = %shard, "shard {shard} has no writer: {}", chain(error));
            }
        }
    }
}

/// Emitted with the regular tick, not per command.
pub(super) struct Ticked {
    pub(super) status: ShardStatus,
    pub(super) in_flight: usize,
    pub(super) lookups: Lookups,
    pub(super) unsaved_bytes: usize,
}

impl Event for Ticked {
    fn emit(self) {
        let labels = [label(self.status.shard)];
        PENDING.set(&labels, number(self.status.pending));
        IN_FLIGHT.set(&labels, number(self.in_flight));
        STREAMS.set(&labels, number(self.status.streams));
        REMEMBERED.set(&labels, number(self.status.remembered));
        CACHE_HITS.add(&labels, self.lookups.hits);
        CACHE_MISSES.add(&labels, self.lookups.misses);
        UNSAVED.set(&labels, number(self.unsaved_bytes));
    }
}

pub(super) enum StoreEvent<'a> {
    /// It goes on here, if it has anything.
    Opened(Option<Offset>),
    Refolded {
        aggregates: &'a BTreeSet<String>,
        events: u64,
        took: Duration,
    },
    Written {
        took: Duration,
        /// Of the whole store.
        bytes: u64,
    },
    /// The first failure; those that follow are no news.
    Unwritable(Cause<'a>),
    Recovered,
    /// For this reason.
    Discarded(&'a str),
    Unavailable(Cause<'a>),
    /// The shard goes back to what its store has, as soon as the system lets it.
    Reopened(Cause<'a>),
}

impl Event for OfShard<StoreEvent<'_>> {
    #[expect(clippy::cast_precision_loss, reason = "a store of 2^53 bytes fits no disk")]
    fn emit(self) {
        let Self(shard, event) = self;
        let labels = [label(shard)];
        match event {
            StoreEvent::Opened(Some(offset)) => {
                info!(shard.id = %shard, offset, "shard {shard} goes on at offset {offset}");
            }
            StoreEvent::Opened(None) => {
                info!(shard.id = %shard, "shard {shard} is read from its beginning");
            }
            StoreEvent::Refolded { aggregates, events, took } => {
                let names: Vec<&str> = aggregates.iter().map(String::as_str).collect();
                let aggregates = names.join(", ");
                info!(
                    shard.id = %shard, aggregates, events, took_ms = took.as_millis(),
                    "states of shard {shard} were folded anew, for another release has made them: \
                     {aggregates}"
                );
            }
            StoreEvent::Written { took, bytes } => {
                WRITE_SECONDS.record(&labels, took.as_secs_f64());
                STORE_BYTES.set(&labels, bytes as f64);
                STORE_WRITABLE.set(&labels, 1.0);
            }
            StoreEvent::Unwritable(error) => {
                STORE_WRITABLE.set(&labels, 0.0);
                error!(
                    shard.id = %shard,
                    "the store of shard {shard} takes no writes; what changes stays in memory \
                     until it does: {}",
                    chain(error)
                );
            }
            StoreEvent::Recovered => {
                info!(shard.id = %shard, "the store of shard {shard} takes writes again");
            }
            StoreEvent::Discarded(reason) => {
                DISCARDED.add(&labels, 1);
                warn!(
                    shard.id = %shard,
                    "the store of shard {shard} is of no use and is built anew from the log: \
                     {reason}"
                );
            }
            StoreEvent::Unavailable(error) => {
                warn!(shard.id = %shard, "shard {shard} waits for its store: {}", chain(error));
            }
            StoreEvent::Reopened(error) => {
                REOPENED.add(&labels, 1);
                error!(
                    shard.id = %shard,
                    "the store of shard {shard} cannot be read for now and is opened again: {}",
                    chain(error)
                );
            }
        }
    }
}

/// One entry of the store concerns nobody but who asks for it.
impl Event for OfShard<&Unreadable> {
    fn emit(self) {
        let Self(shard, entry) = self;
        let table = match entry {
            Unreadable::State { .. } => "state",
            Unreadable::Outcome { .. } => "outcome",
            Unreadable::Deadline { .. } => "deadline",
        };
        UNREADABLE_ENTRIES.add(&[label(shard), ("table", table.to_owned())], 1);
        match entry {
            Unreadable::State { stream, detail } => {
                let detail = format!("its stored state cannot be decoded: {detail}");
                OfShard(shard, ShardEvent::StreamUnreadable { stream, detail: &detail }).emit();
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

/// What became of a snapshot.
pub(super) enum SnapshotEvent<'a> {
    Left {
        next_offset: Offset,
        bytes: u64,
        took: Duration,
    },
    Failed(Cause<'a>),
    Fetched {
        name: &'a str,
        next_offset: Offset,
        took: Duration,
    },
    /// The next older one is tried, and then the log.
    Refused {
        name: &'a str,
        reason: &'a str,
    },
    Unavailable(Cause<'a>),
}

impl Event for OfShard<SnapshotEvent<'_>> {
    #[expect(clippy::cast_precision_loss, reason = "neither offsets nor sizes come near 2^53")]
    fn emit(self) {
        let Self(shard, event) = self;
        let result = match event {
            SnapshotEvent::Left { next_offset, bytes, took } => {
                let labels = [label(shard)];
                SNAPSHOT_POSITION.set(&labels, next_offset as f64);
                SNAPSHOT_BYTES.set(&labels, bytes as f64);
                SNAPSHOT_SECONDS.record(&labels, took.as_secs_f64());
                info!(
                    shard.id = %shard, offset = next_offset, bytes,
                    "left a snapshot of shard {shard} up to offset {next_offset} in {took:.1?}"
                );
                "left"
            }
            SnapshotEvent::Failed(error) => {
                warn!(
                    shard.id = %shard,
                    "no snapshot of shard {shard} could be left, which is tried again: {}",
                    chain(error)
                );
                "failed"
            }
            SnapshotEvent::Fetched { name, next_offset, took } => {
                info!(
                    shard.id = %shard, offset = next_offset,
                    "fetched snapshot {name} of shard {shard} in {took:.1?}"
                );
                "fetched"
            }
            SnapshotEvent::Refused { name, reason } => {
                warn!(shard.id = %shard, "snapshot {name} of shard {shard} is of no use: {reason}");
                "refused"
            }
            SnapshotEvent::Unavailable(error) => {
                warn!(
                    shard.id = %shard,
                    "the snapshots of shard {shard} cannot be looked at, so its log is read: {}",
                    chain(error)
                );
                "unavailable"
            }
        };
        SNAPSHOTS.add(&[label(shard), ("result", result.to_owned())], 1);
    }
}
