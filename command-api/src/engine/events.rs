//! What the engine tells operators.

use std::error::Error;

use domain::{id::StreamId, shard::ShardId};
use infra::telemetry::{
    Event, chain,
    metric::{Counter, Gauge, Histogram},
};
use tracing::{error, info, warn};

use super::{effect::TakeOverReason, ownership::Role, status::ShardStatus};

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
