//! Writes commits as a shard's owner would.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
    shard::ShardId,
    timestamp::Timestamp,
};
use infra::log::{
    BarrierRecord, ClaimInfo, ClaimRecord, EventRecord, Nonce, Offset, OutgoingRecord, Place,
    memory::{MemoryLog, RawRecord},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The owner of one shard.
pub(crate) struct Owner {
    log: MemoryLog,
    shard: ShardId,
    epoch: Offset,
    claim: Nonce,
    seq: u64,
}

/// An event of a stream, as it is stored.
pub(crate) struct Told {
    pub stream: String,
    pub revision: u64,
    pub kind: &'static str,
    pub data: Value,
}

impl Owner {
    pub(crate) fn claim(log: &MemoryLog, shard: u32) -> Self {
        let mut owner = Self {
            log: log.clone(),
            shard: ShardId::new(shard),
            epoch: 0,
            claim: Nonce::random(),
            seq: 0,
        };
        let info = ClaimInfo {
            node: "test".to_owned(),
            url: "http://127.0.0.1".to_owned(),
            started_at: now(),
            software: "test".to_owned(),
        };
        let nonce = owner.claim;
        owner.epoch = owner.append(&OutgoingRecord::Claim(ClaimRecord { nonce, info }));
        owner
    }

    /// Appends one commit and tells the offset after it.
    pub(crate) fn commit(&mut self, events: &[Told]) -> Offset {
        let count = u32::try_from(events.len()).expect("a small commit");
        self.seq += 1;
        let command_id = CommandId::new(Uuid::now_v7());
        let mut end = 0;
        for (index, told) in (0..).zip(events) {
            let stream: StreamId = told.stream.parse().expect("a stream id");
            let (kind, _) = told.stream.split_once('/').expect("a stream id");
            let place = self.place(index, count);
            end = 1 + self.append(&OutgoingRecord::Event(Box::new(EventRecord {
                place,
                id: EventId::new(Uuid::now_v7()),
                event_type: format!("tradewind.{kind}.{}.v1", told.kind).into(),
                stream,
                revision: told.revision,
                recorded_at: now(),
                provenance: provenance(command_id),
                request_hash: None,
                value: Bytes::from(told.data.to_string()),
            })));
        }
        end
    }

    pub(crate) fn barrier(&mut self) -> Offset {
        self.seq += 1;
        let barrier =
            BarrierRecord { place: self.place(0, 1), recorded_at: now(), outcomes: Vec::new() };
        1 + self.append(&OutgoingRecord::Barrier(barrier))
    }

    fn place(&self, index: u32, count: u32) -> Place {
        Place { epoch: self.epoch, claim: self.claim, seq: self.seq, index, count }
    }

    fn append(&self, record: &OutgoingRecord) -> Offset {
        let raw = RawRecord::of(record).expect("a record with a form");
        self.log.append_raw(self.shard, raw).expect("a shard of the log")
    }
}

fn provenance(command_id: CommandId) -> Provenance {
    Provenance {
        command_id,
        correlation_id: CorrelationId::new(command_id.uuid()),
        causation_id: CausationId::new(command_id.uuid()),
        actor: Arc::from("test"),
        traceparent: None,
    }
}

fn now() -> Timestamp {
    infra::clock::Clock::System.now()
}

pub(crate) fn received(sku: &str, revision: u64, quantity: u32) -> Told {
    let data = json!({ "quantity": quantity });
    Told { stream: format!("stock/{sku}"), revision, kind: "received", data }
}

pub(crate) fn product_created(id: Uuid, sku: &str) -> Told {
    let data = json!({ "sku": sku, "details": { "name": sku }, "price": usd(100) });
    Told { stream: format!("product/{id}"), revision: 1, kind: "created", data }
}

pub(crate) fn product_filed(id: Uuid, revision: u64, department: &str) -> Told {
    let data = json!({ "details": { "name": "A product", "department": department } });
    Told { stream: format!("product/{id}"), revision, kind: "updated", data }
}

pub(crate) fn product_published(id: Uuid, revision: u64) -> Told {
    Told { stream: format!("product/{id}"), revision, kind: "published", data: json!({}) }
}

/// An order for 3 units at 5 dollars in all, in two departments.
pub(crate) fn placed(id: Uuid) -> Told {
    let line = |sku: &str, department: &str, quantity: i64, price: i64| {
        json!({
            "sku": sku, "product_id": Uuid::from_u128(1), "name": sku, "department": department,
            "quantity": quantity, "unit_price": usd(price), "total": usd(quantity * price),
        })
    };
    let data = json!({
        "cart_id": Uuid::from_u128(2),
        "lines": [line("A", "DAIRY", 2, 100), line("B", "GROCERY", 1, 300)],
        "totals": { "subtotal": usd(500), "discount": usd(0), "total": usd(500) },
        "channel": "pos", "placed_at": "2026-01-31T12:00:00Z", "method_token": "cash",
    });
    Told { stream: format!("order/{id}"), revision: 1, kind: "placed", data }
}

pub(crate) fn stock_reserved(id: Uuid) -> Told {
    Told { stream: format!("order/{id}"), revision: 2, kind: "stock_reserved", data: json!({}) }
}

pub(crate) fn confirmed(id: Uuid) -> Told {
    let data = json!({ "payment_id": Uuid::from_u128(3), "paid": usd(500) });
    Told { stream: format!("order/{id}"), revision: 3, kind: "confirmed", data }
}

fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}
