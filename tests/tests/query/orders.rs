//! Lists of orders.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Rig, each};

/// Orders 1 to 5, one a minute; the odd ones are confirmed and of household 1.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    for n in 1..=5_u32 {
        let id = Uuid::from_u128(n.into());
        let (status, reference) =
            if n % 2 == 1 { ("confirmed", "'household-1'") } else { ("rejected", "NULL") };
        rig.sql(format!(
            r#"INSERT INTO orders_v1.orders VALUES ('{id}', '{status}', 'pos', {reference},
                '2026-01-01 00:0{n}:00Z', '{{"n": {n}, "status": "{status}"}}', {n})"#
        ))
        .await;
    }
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_come_newest_first_in_pages() {
    let rig = rig().await;
    let first = rig.operator().get("/v1/orders?limit=3").await.expect(200);
    assert_eq!(each(&first, "/n"), [5, 4, 3]);
    let id = Uuid::from_u128(5);
    let expected = json!({"id": id, "revision": 5, "n": 5, "status": "confirmed"});
    assert_eq!(first.body["items"][0], expected);
    let path = format!("/v1/orders?limit=3&cursor={}", first.text("/next"));
    let second = rig.operator().get(&path).await.expect(200);
    assert_eq!(each(&second, "/n"), [2, 1]);
    assert_eq!(second.body["next"], Value::Null);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_order_does_not_shift_a_page() {
    let rig = rig().await;
    let first = rig.operator().get("/v1/orders?limit=2").await.expect(200);
    rig.sql(format!(
        "INSERT INTO orders_v1.orders VALUES ('{}', 'pending', 'web', NULL, now(), '{{}}', 1)",
        Uuid::from_u128(9)
    ))
    .await;
    let path = format!("/v1/orders?limit=2&cursor={}", first.text("/next"));
    assert_eq!(each(&rig.operator().get(&path).await.expect(200), "/n"), [3, 2]);
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
        assert_eq!(each(&answer, "/n"), expected, "{query}");
    }
    rig.end().await;
}
