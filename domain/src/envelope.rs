//! What surrounds an event: where it stands, and who caused it and why.

use std::sync::Arc;

use crate::{
    Event,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
    timestamp::Timestamp,
};

/// Position of an event in its stream, 1-based; 0 is a stream without events.
pub type Revision = u64;

/// Who acts and why; the same for all events of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    pub command_id: CommandId,
    pub correlation_id: CorrelationId,
    pub causation_id: CausationId,
    /// `key:<uuid>`, `guest`, `process:<name>` or `shard:<index>`.
    pub actor: Arc<str>,
    /// W3C trace context of the request, if it had one.
    pub traceparent: Option<Arc<str>>,
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub id: EventId,
    pub stream: StreamId,
    pub revision: Revision,
    pub recorded_at: Timestamp,
    pub provenance: Provenance,
    pub event: Event,
}
