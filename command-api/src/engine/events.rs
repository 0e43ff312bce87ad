//! What the engine tells operators.

use std::{error::Error, time::Duration};

use domain::{id::StreamId, shard::ShardId};
use infra::{
    log::Offset,
    telemetry::{
        Event, chain,
        metric::{Counter, Gauge, Histogram},
    },
};
use tracing::{error, info, warn};

use super::{effect::TakeOverReason, ownership::Role, status::ShardStatus, streams::Lookups};

static TAKE_OVERS: Counter =
    Counter::new("tradewind_engine_take_overs_total", "Claims sent, by shard and reason");
static SERVING: Gauge = Gauge::new("tradewind_engine_serving", "1 while the shard is served");
static PENDING: Gauge =
    Gauge::new("tradewind_engine_pending_commands", "Commands whose outcome is not settled");
static STREAMS: Gauge = Gauge::new("tradewind_engine_streams", "Aggregates in memory");
static REMEMBERED: Gauge =
    Gauge::new("tradewind_engine_remembered_commands", "Outcomes kept for retries");
static GROUP_RECORDS: Histogram =
    Histogram::new("tradewind_engine_group_records", "Records appended together");
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
}

impl Event for Ticked<'_> {
    fn emit(self) {
        let labels = [label(self.status.shard)];
        let gauge = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        PENDING.set(&labels, gauge(self.status.pending));
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
