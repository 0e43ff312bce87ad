//! Events for tests.

use domain::id::EventId;
use uuid::Uuid;

use crate::runner::{RecordedEvent, decode};

/// An event as it would be read from the log.
pub(crate) fn event(stream: &str, revision: i64, kind: &str, value: &'static str) -> RecordedEvent {
    let stream: domain::id::StreamId = stream.parse().expect("a stream id");
    let (stream_type, _) = stream.as_str().split_once('/').unwrap();
    let event_type = format!("tradewind.{stream_type}.{kind}.v1").into();
    RecordedEvent {
        id: EventId::new(Uuid::new_v5(
            &Uuid::NAMESPACE_OID,
            format!("{stream}/{revision}").as_bytes(),
        )),
        decoded: decode(&event_type, &stream, value.as_bytes()),
        stream,
        revision,
        recorded_at: "2026-01-31T12:00:00Z".parse().expect("a time"),
        event_type,
        value: value.into(),
    }
}
