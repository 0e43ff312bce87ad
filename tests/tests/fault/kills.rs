//! `kill -9` of each part in the middle of business.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use stack::eventually::eventually;
use stack::{COMMAND_API, KAFKA, POSTGRES, PROJECTOR, QUERY_API};
use tests::audit::audit;
use tests::harness::client::Client;
use uuid::Uuid;

use crate::rig::{OUTAGE_MAX, Rig, insist, insist_on};

const UNITS: u32 = 100_000;
const BUYERS: u32 = 8;
/// Orders between two kills.
const ORDERS_BETWEEN: u32 = 25;

/// What was acknowledged to one buyer.
#[derive(Default)]
struct Acknowledged {
    events: Vec<String>,
    orders: Vec<String>,
}

#[tokio::test]
async fn killing_any_part_loses_and_doubles_nothing() {
    let rig = Rig::start("kills").await;
    rig.stock_up("tea", UNITS).await;
    let (closing, sold) = (AtomicBool::new(false), AtomicU32::new(0));
    let buyers = join_all((0..BUYERS).map(|_| buy_until(&closing, &rig.staff, &sold)));
    let killer = async {
        for part in [COMMAND_API, PROJECTOR, QUERY_API, KAFKA, POSTGRES, COMMAND_API] {
            sell_more(&sold).await;
            rig.kill(part).await;
            rig.up().await;
        }
        sell_more(&sold).await;
        closing.store(true, Ordering::Relaxed);
    };
    let (bought, ()) = tokio::join!(buyers, killer);

    let orders: Vec<&String> = bought.iter().flat_map(|buyer| &buyer.orders).collect();
    for order in &orders {
        confirmed(&rig.staff, order).await;
    }
    let expected = UNITS - u32::try_from(orders.len()).expect("a small number");
    eventually("the stock adds up", OUTAGE_MAX, || async {
        let body = rig.staff.get("/v1/stock/tea").await.body;
        let adds_up = body["on_hand"] == expected && body["reserved"] == 0;
        if adds_up { Ok(()) } else { Err(body) }
    })
    .await;

    let audit = audit(&rig.state.bootstrap_servers(), &rig.state.topic).await.expect("an audit");
    audit.assert_sound();
    for event in bought.iter().flat_map(|buyer| &buyer.events) {
        assert!(audit.events.contains(event), "acknowledged event {event} is not in the log");
    }
    let confirmed = u64::try_from(orders.len()).expect("a small number");
    assert_eq!(audit.types.get("tradewind.order.confirmed.v1"), Some(&confirmed));
}

async fn sell_more(sold: &AtomicU32) {
    let wanted = sold.load(Ordering::Relaxed) + ORDERS_BETWEEN;
    eventually("the shop sells", OUTAGE_MAX, || async {
        let now = sold.load(Ordering::Relaxed);
        if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted}")) }
    })
    .await;
}

async fn buy_until(closing: &AtomicBool, client: &Client, sold: &AtomicU32) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    while !closing.load(Ordering::Relaxed) {
        let id = Uuid::new_v4();
        let body = json!({
            "id": id, "currency": "USD", "lines": [{"sku": "tea", "quantity": 1}],
        });
        let created = insist(client, &format!("cart-{id}"), "/v1/carts", &body).await.expect(201);
        let body = json!({"channel": "pos", "payment": {"method_token": "cash"}});
        let path = format!("/v1/carts/{id}/checkout");
        let checkout = insist(client, &format!("checkout-{id}"), &path, &body).await.expect(202);
        acknowledged.orders.push(checkout.text("/order_id").to_owned());
        for answer in [created, checkout] {
            acknowledged.events.push(answer.text("/events/0/id").to_owned());
        }
        sold.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

async fn confirmed(client: &Client, order: &str) {
    let path = format!("/v1/orders/{order}");
    eventually("the order is confirmed", OUTAGE_MAX, || async {
        let body = insist_on(|| client.query(&path)).await.body;
        if body["status"] == "confirmed" { Ok(()) } else { Err(body) }
    })
    .await;
}
