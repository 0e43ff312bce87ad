//! Records for tests that care about places more than about content.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    envelope::{Provenance, Revision},
    id::{CausationId, CommandId, CorrelationId, EventId, OrderId, StreamId},
    timestamp::Timestamp,
};
use uuid::Uuid;

use super::{BarrierRecord, ClaimInfo, ClaimRecord, EventRecord, Nonce, Place, RequestHash};
use crate::clock::Clock;

/// Of a commit of one record.
pub const PLACE: Place = Place { epoch: 0, claim: Nonce(1), seq: 1, index: 0, count: 1 };

#[must_use]
pub fn info() -> ClaimInfo {
    ClaimInfo {
        node: "node-1".to_owned(),
        url: "http://node-1:8080".to_owned(),
        started_at: Timestamp::from_micros(1_767_225_600_000_001),
        software: "tradewind/0.1.0".to_owned(),
    }
}

#[must_use]
pub fn claim(nonce: Nonce) -> ClaimRecord {
    ClaimRecord { nonce, info: info() }
}

/// An event that is the first of a command of its own, now.
#[must_use]
pub fn stored(
    stream: StreamId,
    revision: Revision,
    event_type: impl Into<Arc<str>>,
    value: impl Into<Bytes>,
) -> EventRecord {
    let command = Uuid::new_v4();
    let request_hash = Some(RequestHash::of(&[command.as_bytes()]));
    let (event_type, value) = (event_type.into(), value.into());
    let (recorded_at, event) = (Clock::System.now(), event(PLACE, command.as_u128()));
    EventRecord { stream, revision, event_type, value, recorded_at, request_hash, ..event }
}

/// An event of the given command; those of one command look alike but for their place.
#[must_use]
pub fn event(place: Place, command: u128) -> EventRecord {
    let uuid = Uuid::from_u128(command);
    EventRecord {
        place,
        id: EventId::new(uuid),
        event_type: "tradewind.order.stock_reserved.v1".into(),
        stream: OrderId::new(uuid).stream(),
        revision: u64::from(place.index) + 1,
        recorded_at: Timestamp::from_micros(1_767_225_600_000_002),
        provenance: Provenance {
            command_id: CommandId::new(uuid),
            correlation_id: CorrelationId::new(uuid),
            causation_id: CausationId::new(uuid),
            actor: "guest".into(),
            traceparent: None,
        },
        request_hash: None,
        value: Bytes::from_static(b"{}"),
    }
}

#[must_use]
pub fn barrier(place: Place) -> BarrierRecord {
    let recorded_at = Timestamp::from_micros(1_767_225_600_000_003);
    BarrierRecord { place, recorded_at, outcomes: Vec::new() }
}
