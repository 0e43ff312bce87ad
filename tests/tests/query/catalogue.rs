//! Products and stock.

use domain::{Event, id::ProductId, product::Product, testing};
use read_models::products::PRODUCTS;
use serde_json::{Value, json};
use tests::harness::client::Client;
use uuid::Uuid;

use crate::rig::{Rig, each, get, instant};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

struct Row<'a> {
    id: Uuid,
    sku: &'a str,
    name: &'a str,
    category: Option<&'a str>,
    status: &'a str,
    price: i64,
    minute: u32,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self {
            id: Uuid::now_v7(),
            sku: "A",
            name: "Tea",
            category: None,
            status: "published",
            price: 100,
            minute: 0,
        }
    }
}

async fn insert(rig: &Rig, row: Row<'_>) {
    let Row { id, sku, name, category, status, price, minute } = row;
    let details = json!({
        "name": name, "department": "GROCERY", "category": category, "brand": "National",
        "attributes": {"organic": true},
    });
    let price = json!({"amount": price, "currency": "USD"});
    let mut events = vec![
        ("created", json!({"sku": sku, "details": details, "price": price})),
        ("updated", json!({"details": details})),
    ];
    if status != "draft" {
        events.push((status, json!({})));
    }
    let created_at = instant(&format!("2026-01-01T00:{minute:02}:00Z"));
    let times =
        std::iter::once(created_at).chain(std::iter::repeat(instant("2026-01-02T00:00:00Z")));
    let events = events.into_iter().map(|(kind, data)| testing::event::<Product>(kind, data));
    let events = times.zip(events.map(Event::Product));
    rig.project(&PRODUCTS, &ProductId::new(id).stream(), events).await;
}

async fn skus(client: &Client, query: &str) -> Vec<Value> {
    each(&client.get(&format!("/v1/products?{query}")).await.expect(200), "/sku")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_shown_whole_and_not_again_to_who_knows_it() {
    let rig = Rig::start().await;
    insert(&rig, Row { id: ID.parse().expect("an id"), ..Row::default() }).await;
    rig.apply("products", 0, 7).await;
    let path = format!("/v1/products/{ID}");
    let answer = rig.anon().get(&path).await.expect(200);
    let expected = json!({
        "id": ID, "sku": "A", "name": "Tea", "description": null, "department": "GROCERY",
        "category": null, "product_type": null, "brand": "National",
        "attributes": {"organic": true}, "price": {"amount": 100, "currency": "USD"},
        "status": "published", "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": "2026-01-02T00:00:00.000000Z", "revision": 3,
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("etag"), "\"3\"");
    assert_eq!(answer.header("content-type"), "application/json");
    let by_sku = rig.anon().get("/v1/products/by-sku/A").await.expect(200);
    assert_eq!(by_sku.body, expected);
    let known = get(&rig.anon(), &path, &[("if-none-match", "W/\"3\"")]).await.expect(304);
    assert_eq!((known.header("etag"), &known.body), ("\"3\"", &json!("")));
    get(&rig.anon(), &path, &[("if-none-match", "\"2\"")]).await.expect(200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_sees_published_products_and_staff_all() {
    let rig = Rig::start().await;
    let statuses = ["draft", "published", "unpublished", "archived"];
    for (minute, status) in (0..).zip(statuses) {
        insert(&rig, Row { sku: status, status, minute, ..Row::default() }).await;
    }
    assert_eq!(skus(&rig.anon(), "").await, ["published"]);
    assert_eq!(skus(&rig.operator(), "").await, ["archived", "unpublished", "published", "draft"]);
    rig.anon().get("/v1/products/by-sku/draft").await.expect_problem(404, "not_found");
    rig.operator().get("/v1/products/by-sku/draft").await.expect(200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_for_sale_bears_the_sku() {
    let rig = Rig::start().await;
    let for_sale = Row { minute: 1, ..Row::default() };
    let id = for_sale.id.to_string();
    insert(&rig, Row { status: "archived", minute: 2, ..Row::default() }).await;
    insert(&rig, for_sale).await;
    let answer = rig.operator().get("/v1/products/by-sku/A").await.expect(200);
    assert_eq!(answer.text("/id"), id);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_order_meet_without_gaps() {
    let rig = Rig::start().await;
    let all = ["A", "B", "C", "D", "E"];
    for (minute, sku) in (0..).zip(all) {
        // Equal prices: the id decides between them.
        let price = 100 + i64::from(minute / 2);
        insert(&rig, Row { sku, name: sku, minute, price, ..Row::default() }).await;
    }
    for (sort, expected) in [
        ("name", ["A", "B", "C", "D", "E"]),
        ("newest", ["E", "D", "C", "B", "A"]),
        ("price", ["A", "B", "C", "D", "E"]),
        ("-price", ["E", "D", "C", "B", "A"]),
    ] {
        let mut found = Vec::new();
        let mut path = format!("/v1/products?sort={sort}&limit=2");
        loop {
            let page = rig.anon().get(&path).await.expect(200);
            found.extend(each(&page, "/sku"));
            let link = page.header("link");
            let Some(next) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
                assert_eq!(page.body["next"], Value::Null);
                break;
            };
            next.0.clone_into(&mut path);
        }
        assert_eq!(found, expected, "{sort}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_sorted_as_people_look_for_them() {
    let rig = Rig::start().await;
    // Of equal names the id decides.
    let sorted =
        ["Äpfel", "apple", "Apple", "banana", "banana", "eclair", "Éclair", "Œuf", "zebra", "Zoë"];
    let ids: Vec<Uuid> = sorted.iter().map(|_| Uuid::now_v7()).collect();
    for (name, id) in sorted.iter().zip(&ids).rev() {
        insert(&rig, Row { id: *id, sku: &id.to_string(), name, ..Row::default() }).await;
    }
    let (mut found, mut path) = (Vec::new(), "/v1/products?sort=name&limit=3".to_owned());
    loop {
        let page = rig.anon().get(&path).await.expect(200);
        found.extend(each(&page, "/id"));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/v1/products?sort=name&limit=3&cursor={next}");
    }
    let expected: Vec<Value> = ids.iter().map(|id| id.to_string().into()).collect();
    assert_eq!(found, expected);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_somebody_made_up_is_no_failure_of_ours() {
    let rig = Rig::start().await;
    // {"name":["a\u0000","00000000-0000-0000-0000-000000000000"]}
    let forged = "eyJuYW1lIjpbImFcdTAwMDAiLCIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiXX0";
    let path = format!("/v1/products?sort=name&cursor={forged}");
    let _forged = rig.anon().get(&path).await.expect_problem(400, "invalid_cursor");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_catalogue() {
    let rig = Rig::start().await;
    for (minute, (sku, category)) in (0..).zip([("A", None), ("B", None), ("C", Some("TEA"))]) {
        let price = 100 + i64::from(minute);
        insert(&rig, Row { sku, category, price, minute, ..Row::default() }).await;
    }
    rig.stock("A", 5, 2).await;
    rig.stock("B", 2, 2).await;
    for (query, expected) in [
        ("department=GROCERY&brand=National", &["C", "B", "A"][..]),
        ("department=grocery", &[]),
        ("category=TEA", &["C"]),
        ("min_price=101", &["C", "B"]),
        ("min_price=101&max_price=101", &["B"]),
        ("in_stock=true", &["A"]),
        ("in_stock=false", &["C", "B"]),
    ] {
        assert_eq!(skus(&rig.anon(), query).await, expected, "{query}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_shown_to_anyone() {
    let rig = Rig::start().await;
    rig.stock("A", 5, 2).await;
    let answer = rig.anon().get("/v1/stock/A").await.expect(200);
    assert_eq!(answer.body, json!({"sku": "A", "on_hand": 5, "reserved": 2, "available": 3}));
    assert_eq!(answer.header("etag"), "\"2\"");
    rig.anon().get("/v1/stock/B").await.expect_problem(404, "not_found");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_share_a_statement_get_their_own_rows() {
    let rig = Rig::start().await;
    for n in 1..=50 {
        rig.stock(&format!("S{n}"), n, 0).await;
    }
    let client = rig.anon();
    let reads = (0..500).map(|n| {
        let client = client.clone();
        async move { (n % 60, client.get(&format!("/v1/stock/S{}", n % 60)).await) }
    });
    for (n, answer) in futures_util::future::join_all(reads).await {
        if (1..=50).contains(&n) {
            assert_eq!(answer.expect(200).body["on_hand"], n);
        } else {
            answer.expect_problem(404, "not_found");
        }
    }
    rig.end().await;
}
