//! Records for tests that care about places more than about content.

use bytes::Bytes;
use domain::{
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, OrderId},
    timestamp::Timestamp,
};
use uuid::Uuid;

use super::{BarrierRecord, ClaimInfo, ClaimRecord, EventRecord, Nonce, Place};

#[must_use]
pub fn claim(nonce: Nonce) -> ClaimRecord {
    ClaimRecord {
        nonce,
        info: ClaimInfo {
            node: "node-1".to_owned(),
            url: "http://node-1:8080".to_owned(),
            started_at: Timestamp::from_micros(1_767_225_600_000_001),
            software: "tradewind/0.1.0".to_owned(),
        },
    }
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
