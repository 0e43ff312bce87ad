//! Lists of orders.

use domain::{
    Event,
    id::{CartId, OrderId, PaymentId},
    money::{Currency, Money},
    order,
};
use read_models::orders::ORDERS;
use serde_json::{Value, json};
use tests::harness::client::Answer;
use uuid::Uuid;

use crate::rig::{Rig, checkout, each, instant, usd};

/// Two units of tea, paid at the till.
fn placed(minute: u32, reference: Option<&str>) -> Event {
    let (cart_id, at) = (CartId::new(Uuid::from_u128(8)), format!("2026-01-01T00:{minute:02}:00Z"));
    let mut checkout = checkout(&at, "pos", "USD", &[("DRINKS", 2, 300)]);
    checkout.lines.iter_mut().for_each(|line| line.department = None);
    checkout.customer_reference = reference.map(str::to_owned);
    checkout.email = Some("ada@example.com".to_owned());
    Event::Order(order::Event::Placed { cart_id, checkout })
}

async fn insert(rig: &Rig, n: u32, events: impl IntoIterator<Item = Event>) {
    let stream = OrderId::new(Uuid::from_u128(n.into())).stream();
    let at = instant("2026-01-02T00:00:00Z");
    rig.project(&ORDERS, &stream, events.into_iter().map(|event| (at, event))).await;
}

/// Orders 1 to 5, one a minute; the odd ones are confirmed and of household 1.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    let confirmed = order::Event::Confirmed {
        payment_id: PaymentId::new(Uuid::from_u128(9)),
        paid: Money::new(300, Currency::USD),
    };
    let rejected = order::Event::Rejected { reasons: Vec::new() };
    for n in 1..=5 {
        let (outcome, reference) =
            if n % 2 == 1 { (&confirmed, Some("household-1")) } else { (&rejected, None) };
        insert(&rig, n, [placed(n, reference), Event::Order(outcome.clone())]).await;
    }
    rig
}

/// The orders of a list.
fn numbers(answer: &Answer) -> Vec<u128> {
    let number = |id: &Value| id.as_str()?.parse::<Uuid>().ok().map(|id| id.as_u128());
    each(answer, "/id").iter().map(|id| number(id).expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_come_newest_first_in_pages() {
    let rig = rig().await;
    let first = rig.operator().get("/v1/orders?limit=3").await.expect(200);
    assert_eq!(numbers(&first), [5, 4, 3]);
    let path = format!("/v1/orders?limit=3&cursor={}", first.text("/next"));
    let second = rig.operator().get(&path).await.expect(200);
    assert_eq!(numbers(&second), [2, 1]);
    assert_eq!(second.body["next"], Value::Null);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_whole_alone_and_in_a_list() {
    let rig = rig().await;
    let (id, at) = (Uuid::from_u128(5), "2026-01-02T00:00:00.000000Z");
    let expected = json!({
        "id": id, "revision": 2, "cart_id": Uuid::from_u128(8), "status": "confirmed",
        "next_actions": [],
        "lines": [{
            "sku": "A", "product_id": Uuid::from_u128(7), "name": "Tea", "department": null,
            "quantity": 2, "unit_price": usd(150), "adjustments": [], "total": usd(300),
        }],
        "totals": {
            "subtotal": usd(300), "discount": usd(0), "total": usd(300), "paid": usd(300),
            "refunded": usd(0),
        },
        "channel": "pos", "customer_reference": "household-1",
        "placed_at": "2026-01-01T00:05:00.000000Z",
        "timeline": [{"type": "placed", "at": at}, {"type": "confirmed", "paid": usd(300), "at": at}],
    });
    let alone = rig.operator().get(&format!("/v1/orders/{id}")).await.expect(200);
    assert_eq!((&alone.body, alone.header("etag")), (&expected, "\"2\""));
    let listed = rig.operator().get("/v1/orders?limit=1").await.expect(200);
    assert_eq!(listed.body["items"], json!([expected]));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_order_does_not_shift_a_page() {
    let rig = rig().await;
    let first = rig.operator().get("/v1/orders?limit=2").await.expect(200);
    insert(&rig, 9, [placed(59, None)]).await;
    let path = format!("/v1/orders?limit=2&cursor={}", first.text("/next"));
    assert_eq!(numbers(&rig.operator().get(&path).await.expect(200)), [3, 2]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_list() {
    let rig = rig().await;
    for (query, expected) in [
        ("status=rejected", &[4, 2][..]),
        ("status=fulfilled", &[]),
        ("customer_reference=household-1&limit=2", &[5, 3]),
        ("placed_after=2026-01-01T00:03:00Z", &[5, 4]),
        ("placed_before=2026-01-01T00:02:00Z", &[1]),
        ("placed_after=2026-01-01T01:01:00%2B01:00&placed_before=2026-01-01T00:03:00Z", &[2]),
    ] {
        let answer = rig.operator().get(&format!("/v1/orders?{query}")).await.expect(200);
        assert_eq!(numbers(&answer), expected, "{query}");
    }
    rig.end().await;
}
