//! What the HTTP layer tells operators.

use std::error::Error;

use axum::http::StatusCode;
use tracing::{error, warn};

use crate::telemetry::{
    Event, chain,
    metric::{Counter, Histogram, NO_LABELS},
};

/// Per route template, method and status.
pub(super) static REQUEST_SECONDS: Histogram = Histogram::new(
    "tradewind_http_request_seconds",
    "Time from a request's head to its answer's head; lines of batches count as requests, too",
);
static FAILURES: Counter =
    Counter::new("tradewind_http_failures_total", "Answers with a status of 500 or more, by code");
static SHED: Counter =
    Counter::new("tradewind_http_shed_total", "Requests refused because too many were under way");
static PANICS: Counter = Counter::new("tradewind_http_panics_total", "Handlers that panicked");

static CUT: Counter = Counter::new(
    "tradewind_http_connections_cut_total",
    "Connections ended on clients that were slow (`head`, `stalled`) or too many (`share`)",
);

/// A connection was ended that the client would have kept.
pub(super) struct ConnectionCut {
    pub(super) reason: &'static str,
}

impl Event for ConnectionCut {
    fn emit(self) {
        CUT.add(&[("reason", self.reason)], 1);
    }
}

static THROTTLED: Counter = Counter::new(
    "tradewind_http_throttled_total",
    "Requests refused because their client has used up what it may ask, by policy",
);

/// A client has used up what it may ask.
pub(super) struct RequestThrottled {
    pub(super) policy: &'static str,
}

impl Event for RequestThrottled {
    fn emit(self) {
        THROTTLED.add(&[("policy", self.policy.to_owned())], 1);
    }
}

/// An answer of 500 or more went out.
pub(super) struct RequestFailed<'a> {
    pub(super) status: StatusCode,
    pub(super) code: &'a str,
    pub(super) cause: Option<&'a (dyn Error + 'static)>,
}

impl Event for RequestFailed<'_> {
    fn emit(self) {
        let Self { status, code, cause } = self;
        FAILURES.add(&[("code", code.to_owned())], 1);
        let status = status.as_u16();
        match cause {
            // 503 is what a service says that waits for another; only a bug needs somebody.
            Some(cause) if status == 500 => {
                error!(status, code, "request failed: {}", chain(cause))
            }
            Some(cause) => warn!(status, code, "request failed: {}", chain(cause)),
            None => {}
        }
    }
}

pub(super) struct HandlerPanicked<'a> {
    pub(super) message: &'a str,
}

impl Event for HandlerPanicked<'_> {
    fn emit(self) {
        PANICS.add(NO_LABELS, 1);
        error!("a handler panicked: {}", self.message);
    }
}

pub(super) struct RequestShed;

impl Event for RequestShed {
    fn emit(self) {
        SHED.add(NO_LABELS, 1);
    }
}
