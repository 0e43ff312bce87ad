//! What the doors and the process managers tell operators. The engine and HTTP have words of their own.

use std::{error::Error, time::Duration};

use domain::{id::StreamId, process::Failure, shard::ShardId};
use infra::{
    log::Offset,
    telemetry::{
        Event, chain,
        metric::{Counter, Gauge, Histogram, NO_LABELS},
    },
};
use tracing::{error, info, warn};

static REACTION_SECONDS: Histogram = Histogram::new(
    "tradewind_process_reaction_seconds",
    "Time that an event's reaction took, by process",
);
static POSITION: Gauge = Gauge::new(
    "tradewind_process_position",
    "Offset up to which all events of a shard are done with",
);
static INTERRUPTIONS: Counter = Counter::new(
    "tradewind_process_interruptions_total",
    "Times that a shard could not be followed or progress not be stored",
);
static FELL_BEHIND: Counter = Counter::new(
    "tradewind_process_fell_behind_total",
    "Times that process managers fell behind their node's machine and went on from the log, by shard",
);
static PARKED: Counter = Counter::new(
    "tradewind_process_parked_steps_total",
    "Times that a step was parked because it cannot be done, by process",
);
static SETTLED: Counter = Counter::new(
    "tradewind_process_settled_events_total",
    "Events with parked steps that are done after all, by process",
);

static PROVIDER_CALL_SECONDS: Histogram = Histogram::new(
    "tradewind_payment_call_seconds",
    "Time that a call to a payment provider took, by provider, operation and outcome",
);
static PROVIDER_PAUSED: Gauge = Gauge::new(
    "tradewind_payment_provider_paused",
    "1 while a payment provider is not asked because it fails, by provider",
);
static CHECKOUTS_CAPPED: Counter = Counter::new(
    "tradewind_command_capped_checkouts_total",
    "Checkouts of guests refused because too many from their address were open",
);
static WEBHOOKS_IGNORED: Counter = Counter::new(
    "tradewind_webhooks_ignored_total",
    "Signed webhooks of a type that means nothing here, by provider",
);

fn label(shard: ShardId) -> [(&'static str, String); 1] {
    [("shard", shard.to_string())]
}

/// A provider has told something that we do not know.
pub(crate) struct WebhookIgnored<'a> {
    pub(crate) provider: &'a str,
    pub(crate) kind: &'a str,
}

impl Event for WebhookIgnored<'_> {
    fn emit(self) {
        let Self { provider, kind } = self;
        WEBHOOKS_IGNORED.add(&[("provider", provider.to_owned())], 1);
        info!(provider, kind, "a webhook of {provider} means nothing here: {kind}");
    }
}

/// A process manager has done all that an event asked for.
pub(crate) struct Reacted {
    pub(crate) process: &'static str,
    pub(crate) elapsed: Duration,
}

impl Event for Reacted {
    fn emit(self) {
        REACTION_SECONDS.record(&[("process", self.process)], self.elapsed.as_secs_f64());
    }
}

/// The machine tells its follower no more, which reads the log instead.
pub(crate) struct FellBehind {
    pub(crate) shard: ShardId,
}

impl Event for FellBehind {
    fn emit(self) {
        FELL_BEHIND.add(&label(self.shard), 1);
    }
}

pub(crate) struct ProgressStored {
    pub(crate) shard: ShardId,
    pub(crate) next_offset: Offset,
}

impl Event for ProgressStored {
    #[expect(clippy::cast_precision_loss, reason = "offsets beyond 2^53 are centuries away")]
    fn emit(self) {
        POSITION.set(&label(self.shard), self.next_offset as f64);
    }
}

pub(crate) struct ProgressUnstored<'a> {
    pub(crate) shard: ShardId,
    pub(crate) error: &'a (dyn Error + 'static),
}

impl Event for ProgressUnstored<'_> {
    fn emit(self) {
        INTERRUPTIONS.add(&label(self.shard), 1);
        warn!(shard.id = %self.shard, "progress was not stored: {}", chain(self.error));
    }
}

pub(crate) struct FollowInterrupted<'a> {
    pub(crate) shard: ShardId,
    pub(crate) error: &'a (dyn Error + 'static),
}

impl Event for FollowInterrupted<'_> {
    fn emit(self) {
        INTERRUPTIONS.add(&label(self.shard), 1);
        let Self { shard, error } = self;
        warn!(shard.id = %shard, "process managers wait for shard {shard}: {}", chain(error));
    }
}

/// A step of a process cannot be done and waits for an operator.
pub(crate) struct StepParked<'a> {
    pub(crate) process: &'a str,
    pub(crate) step: &'a str,
    pub(crate) stream: &'a StreamId,
    pub(crate) failure: &'a Failure,
}

impl Event for StepParked<'_> {
    fn emit(self) {
        let Self { process, step, stream, failure } = self;
        PARKED.add(&[("process", process.to_owned())], 1);
        error!(
            stream.id = %stream,
            "step {step:?} of process {process} cannot be done and is parked: {} ({})",
            failure.detail, failure.code
        );
    }
}

/// All that an event of parked steps asked for is done or skipped.
pub(crate) struct EventsSettled<'a> {
    pub(crate) process: &'a str,
}

impl Event for EventsSettled<'_> {
    fn emit(self) {
        SETTLED.add(&[("process", self.process.to_owned())], 1);
    }
}

/// A call to a payment provider has ended.
pub(crate) struct ProviderCalled {
    pub(crate) provider: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) elapsed: Duration,
}

impl Event for ProviderCalled {
    fn emit(self) {
        let Self { provider, operation, outcome, elapsed } = self;
        let labels = [("provider", provider), ("operation", operation), ("outcome", outcome)];
        PROVIDER_CALL_SECONDS.record(&labels, elapsed.as_secs_f64());
    }
}

/// A payment provider is asked no more for a while, or again.
pub(crate) struct BreakerMoved {
    pub(crate) provider: &'static str,
    pub(crate) is_open: bool,
}

impl Event for BreakerMoved {
    fn emit(self) {
        let Self { provider, is_open } = self;
        PROVIDER_PAUSED.set(&[("provider", provider)], if is_open { 1.0 } else { 0.0 });
        if is_open {
            warn!("payment provider {provider} fails: it is not asked for a while");
        } else {
            info!("payment provider {provider} answers again");
        }
    }
}

/// A guest has as many checkouts open as it may have.
pub(crate) struct CheckoutsCapped;

impl Event for CheckoutsCapped {
    fn emit(self) {
        CHECKOUTS_CAPPED.add(NO_LABELS, 1);
    }
}
