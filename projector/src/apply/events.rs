//! What batches tell operators: typed events, each with its log line and its metric.

use std::time::Duration;

use domain::shard::ShardId;
use infra::{
    log::ReadError,
    telemetry::{
        Event, chain,
        metric::{Counter, Gauge, Histogram, NO_LABELS},
    },
};
use tracing::{debug, error, warn};

use crate::{event::RecordedEvent, store::checkpoints::CheckpointRow};

static EVENTS: Counter =
    Counter::new("tradewind_projector_events_total", "Events folded into rows, by projection");
static BATCH_EVENTS: Histogram =
    Histogram::new("tradewind_projector_batch_events", "Events of one batch, by projection");
static BATCH_SECONDS: Histogram = Histogram::new(
    "tradewind_projector_batch_seconds",
    "Time from the beginning of a batch's transaction, which projections share, to its commit, by projection",
);
static FAILURES: Counter = Counter::new(
    "tradewind_projector_failures_total",
    "Batches that PostgreSQL did not take at the first try, by projection",
);
static HALTED: Gauge = Gauge::new(
    "tradewind_projector_halted",
    "1 where a projection does not go on, by projection, version and shard",
);
static LAG_RECORDS: Gauge = Gauge::new(
    "tradewind_projector_lag_records",
    "Records between a checkpoint and the end of the log, by projection, version and shard",
);
static LAG_SECONDS: Gauge = Gauge::new(
    "tradewind_projector_lag_seconds",
    "Age of what was applied last where more is to be applied, by projection, version and shard",
);
static RATE: Gauge = Gauge::new(
    "tradewind_projector_records_per_second",
    "Records of the log that a version passes, by projection, version and shard",
);
static DEAD_LETTERS: Counter = Counter::new(
    "tradewind_projector_dead_letters_total",
    "Events that did not apply and were parked, by projection",
);
static PARKED_EVENTS: Gauge = Gauge::new(
    "tradewind_projector_parked_events",
    "Events that wait for an operator, by projection, version and shard",
);
static READ_FAILURES: Counter =
    Counter::new("tradewind_projector_read_failures_total", "Times that the log was unreadable");

/// A batch is in.
pub(crate) struct Applied {
    pub projection: &'static str,
    pub events: usize,
    pub took: Duration,
}

impl Event for Applied {
    fn emit(self) {
        let Self { projection, events, took } = self;
        if events == 0 {
            return;
        }
        debug!(projection, events, "applied {events} events in {took:?}");
        let labels = [("projection", projection)];
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        EVENTS.add(&labels, events.into());
        BATCH_EVENTS.record(&labels, events.into());
        BATCH_SECONDS.record(&labels, took.as_secs_f64());
    }
}

/// A batch is not in, or it is not known whether it is; it will be tried again.
pub(crate) struct ApplyFailed<'e> {
    pub projection: &'static str,
    pub shard: ShardId,
    pub error: &'e sqlx::Error,
}

impl Event for ApplyFailed<'_> {
    fn emit(self) {
        let Self { projection, shard, error } = self;
        FAILURES.add(&[("projection", projection)], 1);
        warn!(projection, shard.id = %shard, "PostgreSQL did not answer: {}", chain(error));
    }
}

/// An event did not apply: it and all later ones of its key wait for an operator.
pub(crate) struct Parked<'f> {
    pub projection: &'static str,
    pub shard: ShardId,
    pub event: &'f RecordedEvent,
    pub error: &'f str,
}

impl Event for Parked<'_> {
    fn emit(self) {
        let Self { projection, shard, event, error } = self;
        DEAD_LETTERS.add(&[("projection", projection)], 1);
        let event = event.describe();
        error!(projection, shard.id = %shard, "{projection} parks {event} and what follows: {error}");
    }
}

/// How much of a projection is parked in a shard.
pub(crate) struct ParkedCount {
    pub row: CheckpointRow,
    pub events: usize,
}

impl Event for ParkedCount {
    fn emit(self) {
        let CheckpointRow { projection, version, shard } = self.row;
        let events = u32::try_from(self.events).unwrap_or(u32::MAX);
        PARKED_EVENTS.set(&labels_of(projection, version, shard), events.into());
    }
}

/// A projection goes on in a shard, or does not for this reason.
pub(crate) struct Halted<'r> {
    pub row: CheckpointRow,
    pub reason: Option<&'r str>,
}

impl Event for Halted<'_> {
    fn emit(self) {
        let Self { row: CheckpointRow { projection, version, shard }, reason } = self;
        HALTED.set(&labels_of(projection, version, shard), reason.map_or(0.0, |_| 1.0));
        if let Some(reason) = reason {
            error!(
                projection, version, shard.id = %shard,
                "{projection} v{version} halts in shard {shard}: {reason}"
            );
        }
    }
}

/// How far a version of a projection is behind, and how fast it goes.
#[derive(sqlx::FromRow)]
pub(crate) struct Measured {
    pub projection: String,
    pub version: i32,
    pub shard: i32,
    pub rate: f64,
    pub lag_records: i64,
    pub lag_seconds: f64,
}

impl Event for Measured {
    fn emit(self) {
        let labels = labels_of(&self.projection, self.version, self.shard);
        let lag_records = u32::try_from(self.lag_records).unwrap_or(u32::MAX);
        LAG_RECORDS.set(&labels, lag_records.into());
        LAG_SECONDS.set(&labels, self.lag_seconds);
        RATE.set(&labels, self.rate);
    }
}

/// The log of a shard cannot be read.
pub(crate) struct ReadFailed<'e> {
    pub shard: ShardId,
    pub error: &'e ReadError,
}

impl Event for ReadFailed<'_> {
    fn emit(self) {
        let Self { shard, error } = self;
        READ_FAILURES.add(NO_LABELS, 1);
        match error {
            ReadError::Unavailable(_) => {
                warn!(shard.id = %shard, "cannot read shard {shard}: {}", chain(error));
            }
            _ => error!(shard.id = %shard, "shard {shard} halts: {}", chain(error)),
        }
    }
}

fn labels_of(projection: &str, version: i32, shard: impl ToString) -> [(&'static str, String); 3] {
    let (version, shard) = (version.to_string(), shard.to_string());
    [("projection", projection.to_owned()), ("version", version), ("shard", shard)]
}
