//! Logs that are appended through the log's own writers, as fast as it takes them, without an engine:
//! many stocks with a history, and sales as an import leaves them, carts that become orders, whose
//! stock is reserved and committed, and which are paid.

use std::time::Duration;

use anyhow::{Context, Result};
use domain::{
    id::{Sku, StreamId},
    shard::{ShardId, shard_of},
    timestamp::Timestamp,
};
use infra::{
    clock::Clock,
    log::{EventLog, EventRecord, owner::Owner, sample},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// What a history reaches over. All but the last day of it is of no use to the dedup table.
const REACH: Duration = Duration::from_hours(30 * 24);
/// Lines of each order; a basket of the import has nine or ten.
const LINES: u64 = 8;
/// Events of one sale.
pub(super) const EVENTS: u64 = 7 + 2 * LINES;
const SKUS: u64 = 5_000;
const PRICE: u64 = 199;

/// Events of stocks, spread evenly over aggregates and time; each is a commit of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct History {
    pub(super) aggregates: u32,
    pub(super) events: u32,
}

/// What is in a log of sales.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sales {
    pub(super) sales: u64,
    /// Beside those that are sold; each has one event.
    pub(super) products: u64,
}

impl History {
    pub(super) fn sku(aggregate: u32) -> Result<Sku> {
        Ok(format!("history-{aggregate}").parse()?)
    }

    pub(super) async fn append(self, log: &dyn EventLog) -> Result<()> {
        let mut shards = Shards::claim(log).await?;
        let start = Clock::System.now().minus(REACH);
        let received = json!({ "quantity": 1 });
        for event in 0..self.events {
            let (aggregate, turn) = (event % self.aggregates, event / self.aggregates);
            let stream = Self::sku(aggregate)?.stock_stream();
            let at = start.plus(REACH.mul_f64(f64::from(event) / f64::from(self.events)));
            let revision = u64::from(turn) + 1;
            shards.put(stream.as_str(), "stock.received", revision, at, &received).await?;
        }
        shards.finish().await
    }
}

impl Sales {
    /// Tells how many events that were.
    pub(super) async fn append(self, log: &dyn EventLog) -> Result<u64> {
        let mut shards = Shards::claim(log).await?;
        let start = Clock::System.now();
        let mut stock = vec![0; usize::try_from(SKUS)?];
        for sale in 0..self.sales {
            let at = start.plus(Duration::from_millis(sale));
            append_sale(&mut shards, &mut stock, sale, at).await?;
        }
        for product in 0..self.products {
            append_product(&mut shards, product, start).await?;
        }
        shards.finish().await?;
        Ok(self.sales * EVENTS + self.products)
    }
}

/// The owners of all shards.
struct Shards(Vec<Owner>);

impl Shards {
    async fn claim(log: &dyn EventLog) -> Result<Self> {
        let mut owners = Vec::new();
        for shard in (0..log.shard_count()).map(ShardId::new) {
            owners.push(Owner::claim(log, shard).await?);
        }
        Ok(Self(owners))
    }

    async fn put(
        &mut self,
        stream: &str,
        kind: &str,
        revision: u64,
        at: Timestamp,
        data: &Value,
    ) -> Result<()> {
        let stream: StreamId = stream.parse()?;
        let shard = shard_of(&stream, u32::try_from(self.0.len())?).index();
        let owner = self.0.get_mut(usize::try_from(shard)?).context("a shard")?;
        let kind = format!("tradewind.{kind}.v1");
        let event = sample::stored(stream, revision, kind, serde_json::to_vec(data)?);
        owner.commit(vec![EventRecord { recorded_at: at, ..event }]).await?;
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        for owner in self.0 {
            owner.finish().await?;
        }
        Ok(())
    }
}

async fn append_sale(
    shards: &mut Shards,
    stock: &mut [u64],
    sale: u64,
    at: Timestamp,
) -> Result<()> {
    let [cart, order, payment, reservation] = std::array::from_fn(|_| Uuid::now_v7());
    let checkout = checkout(sale, at);
    let amount = usd(LINES * PRICE);
    let cart_stream = format!("cart/{cart}");
    let created =
        json!({ "currency": "USD", "staff": true, "expires_at": at, "lines": checkout["lines"] });
    let mut checked_out = json!({ "order_id": order });
    merge(&mut checked_out, &checkout);
    let mut placed = json!({ "cart_id": cart });
    merge(&mut placed, &checkout);
    let order_stream = format!("order/{order}");
    shards.put(&cart_stream, "cart.created", 1, at, &created).await?;
    shards.put(&cart_stream, "cart.checked_out", 2, at, &checked_out).await?;
    shards.put(&order_stream, "order.placed", 1, at, &placed).await?;
    let reserved = json!({
        "reservation_id": reservation, "order_id": order, "quantity": 1, "expires_at": at,
    });
    append_stock(shards, stock, sale, "stock.reserved", at, &reserved).await?;
    shards.put(&order_stream, "order.stock_reserved", 2, at, &json!({})).await?;
    let payment_stream = format!("payment/{payment}");
    let requested = json!({
        "order_id": order, "amount": amount, "provider": "sandbox", "method_token": "cash",
        "expires_at": at,
    });
    let authorised = json!({ "order_id": order, "amount": amount, "reference": "pay_1" });
    shards.put(&payment_stream, "payment.requested", 1, at, &requested).await?;
    shards.put(&payment_stream, "payment.authorised", 2, at, &authorised).await?;
    let committed = json!({ "reservation_id": reservation, "quantity": 1 });
    append_stock(shards, stock, sale, "stock.committed", at, &committed).await?;
    let confirmed = json!({ "payment_id": payment, "paid": amount });
    shards.put(&order_stream, "order.confirmed", 3, at, &confirmed).await
}

async fn append_product(shards: &mut Shards, product: u64, at: Timestamp) -> Result<()> {
    let created = json!({
        "sku": format!("product-{product}"), "details": { "name": format!("Product {product}") },
        "price": usd(PRICE),
    });
    shards.put(&format!("product/{}", Uuid::now_v7()), "product.created", 1, at, &created).await
}

async fn append_stock(
    shards: &mut Shards,
    stock: &mut [u64],
    sale: u64,
    kind: &str,
    at: Timestamp,
    data: &Value,
) -> Result<()> {
    for line in 0..LINES {
        let sku = sku(sale, line);
        let revision = stock.get_mut(usize::try_from(sku)?).context("a SKU")?;
        *revision += 1;
        shards.put(&format!("stock/sku-{sku}"), kind, *revision, at, data).await?;
    }
    Ok(())
}

fn sku(sale: u64, line: u64) -> u64 {
    (sale.wrapping_mul(2_654_435_761).wrapping_add(line * 613)) % SKUS
}

fn checkout(sale: u64, at: Timestamp) -> Value {
    let lines: Vec<_> = (0..LINES).map(|line| self::line(sale, line)).collect();
    let total = usd(LINES * PRICE);
    json!({
        "lines": lines,
        "totals": { "subtotal": total, "discount": usd(0), "total": total },
        "channel": "pos", "placed_at": at, "method_token": "cash",
        "customer_reference": format!("household-{}", sale % 2_500),
    })
}

fn line(sale: u64, line: u64) -> Value {
    let sku = sku(sale, line);
    json!({
        "sku": format!("sku-{sku}"), "product_id": Uuid::from_u128(sku.into()),
        "name": format!("Product {sku}"), "department": format!("DEPARTMENT {}", sku % 30),
        "quantity": 1, "unit_price": usd(PRICE), "total": usd(PRICE),
    })
}

fn usd(amount: u64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.clone());
    }
}
