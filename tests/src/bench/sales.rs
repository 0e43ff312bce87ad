//! A log of sales as an import leaves it: carts that become orders, whose stock is reserved and
//! committed, and which are paid. Appended through the log's own writers, without an engine.

use std::time::Duration;

use anyhow::{Context, Result};
use domain::{
    id::StreamId,
    shard::{ShardId, shard_of},
    timestamp::Timestamp,
};
use infra::{
    clock::Clock,
    log::{EventLog, EventRecord, owner::Owner, sample},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Lines of each order; a basket of the import has nine or ten.
const LINES: u64 = 8;
/// Events of one sale.
pub(super) const EVENTS: u64 = 7 + 2 * LINES;
const SKUS: u64 = 5_000;
const PRICE: u64 = 199;

/// What is in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sales {
    pub(super) sales: u64,
    /// Beside those that are sold; each has one event.
    pub(super) products: u64,
}

impl Sales {
    /// Tells how many events that were.
    pub(super) async fn append(self, log: &dyn EventLog) -> Result<u64> {
        append(log, self).await
    }
}

async fn append(log: &dyn EventLog, Sales { sales, products }: Sales) -> Result<u64> {
    let mut shards = Vec::new();
    for shard in (0..log.shard_count()).map(ShardId::new) {
        shards.push(Owner::claim(log, shard).await?);
    }
    let start = Clock::System.now();
    let mut stock = vec![0; usize::try_from(SKUS)?];
    for sale in 0..sales {
        let at = start.plus(Duration::from_millis(sale));
        append_sale(&mut shards, &mut stock, sale, at).await?;
    }
    for product in 0..products {
        append_product(&mut shards, product, start).await?;
    }
    for shard in shards {
        shard.finish().await?;
    }
    Ok(sales * EVENTS + products)
}

async fn append_sale(
    shards: &mut [Owner],
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
    put(shards, &cart_stream, "cart.created", 1, at, &created).await?;
    put(shards, &cart_stream, "cart.checked_out", 2, at, &checked_out).await?;
    put(shards, &order_stream, "order.placed", 1, at, &placed).await?;
    let reserved = json!({
        "reservation_id": reservation, "order_id": order, "quantity": 1, "expires_at": at,
    });
    append_stock(shards, stock, sale, "stock.reserved", at, &reserved).await?;
    put(shards, &order_stream, "order.stock_reserved", 2, at, &json!({})).await?;
    let payment_stream = format!("payment/{payment}");
    let requested = json!({
        "order_id": order, "amount": amount, "provider": "sandbox", "method_token": "cash",
        "expires_at": at,
    });
    let authorised = json!({ "order_id": order, "amount": amount, "reference": "pay_1" });
    put(shards, &payment_stream, "payment.requested", 1, at, &requested).await?;
    put(shards, &payment_stream, "payment.authorised", 2, at, &authorised).await?;
    let committed = json!({ "reservation_id": reservation, "quantity": 1 });
    append_stock(shards, stock, sale, "stock.committed", at, &committed).await?;
    let confirmed = json!({ "payment_id": payment, "paid": amount });
    put(shards, &order_stream, "order.confirmed", 3, at, &confirmed).await
}

async fn append_product(shards: &mut [Owner], product: u64, at: Timestamp) -> Result<()> {
    let created = json!({
        "sku": format!("product-{product}"), "details": { "name": format!("Product {product}") },
        "price": usd(PRICE),
    });
    put(shards, &format!("product/{}", Uuid::now_v7()), "product.created", 1, at, &created).await
}

async fn append_stock(
    shards: &mut [Owner],
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
        put(shards, &format!("stock/sku-{sku}"), kind, *revision, at, data).await?;
    }
    Ok(())
}

async fn put(
    shards: &mut [Owner],
    stream: &str,
    kind: &str,
    revision: u64,
    at: Timestamp,
    data: &Value,
) -> Result<()> {
    let stream: StreamId = stream.parse()?;
    let shard = shard_of(&stream, u32::try_from(shards.len())?).index();
    let owner = shards.get_mut(usize::try_from(shard)?).context("a shard")?;
    let kind = format!("tradewind.{kind}.v1");
    let event = sample::stored(stream, revision, kind, serde_json::to_vec(data)?);
    owner.commit(vec![EventRecord { recorded_at: at, ..event }]).await?;
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
