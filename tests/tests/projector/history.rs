//! Events as a shard's owner would write them.

use domain::{id::StreamId, shard::ShardId};
use futures_util::FutureExt;
use infra::log::{Offset, memory::MemoryLog, owner, sample};
use serde_json::{Value, json};
use uuid::Uuid;

/// The owner of one shard of a log in memory, which keeps nobody waiting.
pub(crate) struct Owner(owner::Owner);

/// An event of a stream, as it is stored.
pub(crate) struct Event {
    pub stream: String,
    pub revision: u64,
    pub kind: &'static str,
    pub data: Value,
}

impl Owner {
    pub(crate) async fn claim(log: &MemoryLog, shard: u32) -> Self {
        Self(owner::Owner::claim(log, ShardId::new(shard)).await.expect("a shard of the log"))
    }

    /// Appends one commit and tells the offset after it.
    pub(crate) fn commit(&mut self, events: &[Event]) -> Offset {
        let events = events.iter().map(|Event { stream, revision, kind, data }| {
            let (of, _) = stream.split_once('/').expect("a stream id");
            let stream: StreamId = stream.parse().expect("a stream id");
            sample::stored(stream, *revision, format!("tradewind.{of}.{kind}.v1"), data.to_string())
        });
        let committed = self.0.commit(events.collect()).now_or_never().expect("room");
        committed.expect("a record with a form")
    }

    pub(crate) fn barrier(&mut self) -> Offset {
        self.0.barrier().now_or_never().expect("room").expect("a record with a form")
    }
}

pub(crate) fn received(sku: &str, revision: u64, quantity: u32) -> Event {
    let data = json!({ "quantity": quantity });
    Event { stream: format!("stock/{sku}"), revision, kind: "received", data }
}

/// A receipt that no release can read.
pub(crate) fn unreadable(sku: &str, revision: u64) -> Event {
    Event { data: json!({ "quantity": "many" }), ..received(sku, revision, 1) }
}

pub(crate) fn product_created(id: Uuid, sku: &str) -> Event {
    let data = json!({ "sku": sku, "details": { "name": sku }, "price": usd(100) });
    Event { stream: format!("product/{id}"), revision: 1, kind: "created", data }
}

pub(crate) fn product_filed(id: Uuid, revision: u64, department: &str) -> Event {
    let data = json!({ "details": { "name": "A product", "department": department } });
    Event { stream: format!("product/{id}"), revision, kind: "updated", data }
}

pub(crate) fn product_published(id: Uuid, revision: u64) -> Event {
    Event { stream: format!("product/{id}"), revision, kind: "published", data: json!({}) }
}

/// An order for 3 units at 5 dollars in all, in two departments.
pub(crate) fn placed(id: Uuid) -> Event {
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
    Event { stream: format!("order/{id}"), revision: 1, kind: "placed", data }
}

pub(crate) fn stock_reserved(id: Uuid) -> Event {
    Event { stream: format!("order/{id}"), revision: 2, kind: "stock_reserved", data: json!({}) }
}

pub(crate) fn confirmed(id: Uuid) -> Event {
    let data = json!({ "payment_id": Uuid::from_u128(3), "paid": usd(500) });
    Event { stream: format!("order/{id}"), revision: 3, kind: "confirmed", data }
}

fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}
