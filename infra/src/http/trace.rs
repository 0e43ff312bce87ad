//! W3C trace context and the ids of one request: where they come from and how they are told.
//!
//! The ids live in a task-local, so that a problem or a log line finds them without anybody
//! handing them down.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};
use domain::id::CorrelationId;
use tokio::time::Instant;
use uuid::Uuid;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// A W3C trace context: the trace that a request belongs to and our span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// What a handler may need to know of its request beyond the path and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestContext {
    pub trace: TraceContext,
    pub began: Instant,
    /// When the answer has to be there. What waits for something waits no longer.
    pub deadline: Instant,
}

impl TraceContext {
    /// Continues the caller's trace, or begins one if the caller sent none or a malformed one.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let parent = headers.get(TRACEPARENT).and_then(|value| Self::parse(value.as_bytes()));
        // Nobody records the spans of a trace that begins here, so it is not sampled.
        let (trace_id, flags) = parent.map_or_else(
            || (rand::random::<u128>().max(1), 0),
            |parent| (parent.trace_id, parent.flags),
        );
        Self { trace_id, span_id: rand::random::<u64>().max(1), flags }
    }

    /// The header's value, for what is called or recorded on behalf of this request.
    #[must_use]
    pub fn traceparent(self) -> Arc<str> {
        self.to_string().into()
    }

    /// Whether somebody may have recorded the trace that this text names.
    #[must_use]
    pub fn is_sampled(traceparent: &str) -> bool {
        Self::parse(traceparent.as_bytes()).is_some_and(|trace| trace.flags & 1 == 1)
    }

    /// 32 hex digits.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// A trace is one chain of commands and events, so its id correlates them.
    #[must_use]
    pub fn correlation_id(self) -> CorrelationId {
        CorrelationId::new(Uuid::from_u128(self.trace_id))
    }

    /// `00-<32 hex>-<16 hex>-<2 hex>`; later versions may go on after that.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (version, rest) = text.split_once('-')?;
        let (trace_id, rest) = rest.split_once('-')?;
        let (span_id, flags) = rest.split_once('-')?;
        let (flags, more) =
            flags.split_once('-').map_or((flags, false), |(flags, _)| (flags, true));
        let lengths = [version.len(), trace_id.len(), span_id.len(), flags.len()] == [2, 32, 16, 2];
        let lower = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f' | b'-'));
        if !lengths || (!lower && !more) || version == "ff" || (version == "00" && more) {
            return None;
        }
        let parsed = Self {
            trace_id: u128::from_str_radix(trace_id, 16).ok()?,
            span_id: u64::from_str_radix(span_id, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (parsed.trace_id != 0 && parsed.span_id != 0).then_some(parsed)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl RequestContext {
    #[must_use]
    pub fn new(trace: TraceContext, began: Instant, wait_max: Duration) -> Self {
        Self { trace, began, deadline: began + wait_max }
    }

    /// The context of the request that this task answers, if it answers one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|context| *context).ok()
    }

    /// When the request that this task answers must be answered.
    pub(super) fn deadline_now() -> Instant {
        Self::current().map_or_else(|| Instant::now() + UNSERVED_WAIT_MAX, |it| it.deadline)
    }

    /// What `answer` makes is an answer to this request.
    pub(super) fn sync_scope<T>(self, answer: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, answer)
    }

    /// What `future` answers is an answer to this request.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

/// How long a request may take that came through no server, as in a unit test.
const UNSERVED_WAIT_MAX: Duration = Duration::from_secs(10);

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::current().unwrap_or_else(|| {
            let trace = TraceContext::from_headers(&parts.headers);
            Self::new(trace, Instant::now(), UNSERVED_WAIT_MAX)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn continued(traceparent: &str) -> TraceContext {
        let headers = HeaderMap::from_iter([(TRACEPARENT, traceparent.parse().unwrap())]);
        TraceContext::from_headers(&headers)
    }

    #[test]
    fn a_trace_goes_on_under_a_span_of_our_own() {
        let trace = continued(VALID);
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.flags, 1);
        assert_ne!(trace.span_id, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(TraceContext::parse(trace.to_string().as_bytes()), Some(trace));
    }

    #[test]
    fn a_trace_that_begins_here_is_not_sampled() {
        assert!(TraceContext::is_sampled(&continued(VALID).traceparent()));
        assert!(!TraceContext::is_sampled(&continued("").traceparent()));
        assert!(!TraceContext::is_sampled(""));
    }

    #[test]
    fn a_malformed_parent_begins_a_new_trace() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
            assert_ne!(continued(bad).trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = VALID.replacen("00", "cc", 1) + "-what_the_future_brings";
        assert!(TraceContext::parse(later.as_bytes()).is_some());
    }
}
