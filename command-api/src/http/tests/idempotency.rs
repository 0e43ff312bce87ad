//! What a key makes of a request: one that is sent again gets the first answer, byte for byte, whoever
//! answers; one key on several streams is several commands; and a guest's key is the guest's own.

use std::{collections::BTreeSet, sync::Arc};

use domain::{StreamType, id::CartId, order::Status, shard::shard_of};
use infra::clock::Clock;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{cart_of, carts::Guest, product, product_with_id};
use crate::testing::{Answer, World, checkout, commands_of_commits, new_uuid};

const CART: &str = "0198c0de-0000-7000-8000-000000000001";
const PRODUCT: &str = "0198c0de-0000-7000-8000-000000000002";

/// What a client keeps of an answer.
#[derive(Debug, PartialEq)]
struct Kept {
    status: u16,
    headers: Vec<(&'static str, String)>,
    text: String,
}

impl Kept {
    fn of(seen: Answer) -> Self {
        let names = ["content-type", "etag", "location", "tradewind-position", "retry-after"];
        let headers = names.map(|name| (name, seen.header(name).to_owned())).to_vec();
        // The trace is that of the request, which is another one each time.
        let text = match seen.body["trace_id"].as_str() {
            Some(trace) => seen.raw.replace(trace, "[trace]"),
            None => seen.raw,
        };
        Self { status: seen.status, headers, text }
    }

    /// Of a refusal.
    fn code(&self) -> Option<String> {
        let body: Value = serde_json::from_str(&self.text).expect("JSON");
        body["code"].as_str().map(str::to_owned)
    }
}

/// One command of each way to be answered: created, changed, unchanged, begun, and refused for a
/// rule, a state and a revision.
fn commands() -> Vec<(&'static str, String, Value)> {
    let mut cart = cart_of(["A-1"]);
    cart["id"] = CART.into();
    let nobodys = "/v1/carts/0198c0de-0000-7000-8000-00000000000f/checkout";
    let stock = "/v1/stock/A-1";
    vec![
        ("created", "/v1/products".to_owned(), product_with_id(PRODUCT, "A-1")),
        ("published", format!("/v1/products/{PRODUCT}/publish"), json!({})),
        ("unchanged", format!("/v1/products/{PRODUCT}/publish"), json!({})),
        ("refused", format!("{stock}/adjust"), json!({"delta": -1, "reason": "broken"})),
        ("changed", format!("{stock}/receive"), json!({"quantity": 5})),
        ("cart", "/v1/carts".to_owned(), cart),
        ("begun", format!("/v1/carts/{CART}/checkout"), checkout("tok_ok")),
        ("conflict", format!("/v1/carts/{CART}/checkout"), checkout("tok_declined")),
        ("missing", nobodys.to_owned(), checkout("tok_ok")),
    ]
}

/// Sends all of them, and tells of each whether it was answered from memory.
async fn send_all(world: &World) -> Vec<(&'static str, bool, Kept)> {
    let mut answers = Vec::new();
    for (key, path, body) in commands() {
        let seen = world.keyed(key, "POST", &path, body).await;
        let replayed = seen.header("idempotency-replayed") == "true";
        answers.push((key, replayed, Kept::of(seen)));
    }
    answers
}

#[tokio::test]
async fn answers_are_the_same_byte_for_byte_again_after_restarts_and_on_other_nodes() {
    let first = World::start();
    let answers = send_all(&first).await;
    let statuses: Vec<_> = answers.iter().map(|(_, _, kept)| kept.status).collect();
    assert_eq!(statuses, [201, 200, 200, 422, 200, 201, 202, 409, 404]);
    assert!(answers.iter().all(|(_, replayed, _)| !replayed), "{answers:?}");
    let codes = answers.iter().filter_map(|(_, _, kept)| kept.code());
    assert_eq!(
        codes.collect::<Vec<_>>(),
        ["stock.insufficient", "cart.not_open", "cart.not_found"]
    );
    // What is true now is another thing than what was answered.
    first.staff("POST", "/v1/stock/A-1/receive", json!({"quantity": 7})).await.expect(200);
    first.tell_product(PRODUCT, "archive").await.expect(200);

    let check = |again: Vec<(&str, bool, Kept)>, by: &str| {
        for ((key, _, expected), (_, replayed, found)) in answers.iter().zip(&again) {
            assert_eq!(found, expected, "{key}, by {by}");
            assert!(replayed, "{key}, by {by}");
        }
    };
    check(send_all(&first).await, "the same node");
    let (log, stores) = (Arc::clone(&first.log), first.stores.clone());
    let other = World::over(Arc::clone(&log), Clock::System);
    check(send_all(&other).await, "a node that takes the shards from it");
    drop((first, other));
    let restarted = World::with_stores(log, stores);
    check(send_all(&restarted).await, "the node after a restart");
}

/// Staff carts with two units of tea each, in as many shards as there are.
async fn carts(world: &World) -> Vec<CartId> {
    let mut found: Vec<CartId> = Vec::new();
    while found.len() < 4 {
        let id: CartId = new_uuid().parse().unwrap();
        if found.iter().all(|other| shard_of(&other.stream(), 4) != shard_of(&id.stream(), 4)) {
            found.push(id);
        }
    }
    for id in &found {
        let mut body = cart_of(["tea"]);
        body["id"] = id.to_string().into();
        body["lines"][0]["quantity"] = 2.into();
        world.staff("POST", "/v1/carts", body).await.expect(201);
    }
    found
}

#[tokio::test]
async fn one_key_for_checkouts_of_carts_in_several_shards_takes_the_stock_of_each() {
    let world = World::start();
    world.product("tea", 100).await;
    let carts = carts(&world).await;
    for cart in &carts {
        let path = format!("/v1/carts/{cart}/checkout");
        let seen = world.keyed("same", "POST", &path, checkout("tok_ok")).await.expect(202);
        assert_eq!(seen.header("idempotency-replayed"), "");
        assert_eq!(seen.body["order_id"], cart.order_id().to_string());
    }
    for cart in &carts {
        assert_eq!(world.settled(cart.order_id()).await.status, Status::Confirmed);
    }
    assert_eq!(world.stock("tea").await.on_hand(), 100 - 2 * 4);
}

#[tokio::test]
async fn a_reused_key_is_refused_on_its_stream_whichever_node_is_asked() {
    let world = World::start();
    let receive = "/v1/stock/tea/receive";
    world.keyed("k", "POST", receive, json!({"quantity": 1})).await.expect(200);
    let other = World::over(Arc::clone(&world.log), world.clock.clone());
    for (node, replayed) in [(&world, ""), (&other, "true")] {
        let seen = node.keyed("k", "POST", receive, json!({"quantity": 2})).await;
        seen.expect_problem(422, "idempotency_key_reused");
        let path = "/v1/stock/coffee/receive";
        let seen = node.keyed("k", "POST", path, json!({"quantity": 2})).await.expect(200);
        assert_eq!(seen.header("idempotency-replayed"), replayed);
    }
    assert_eq!(other.stock("coffee").await.on_hand(), 2);
}

#[tokio::test]
async fn a_guest_without_a_cart_is_known_by_a_key_that_nobody_guesses() {
    let world = World::start();
    let create = async |headers: &[(&str, &str)]| {
        world.ask("POST", "/v1/carts", headers, json!({"currency": "USD"})).await
    };
    for key in ["1", "my-cart", "00000000-0000-0000-0000-000000000000"] {
        let seen = create(&[("idempotency-key", key)]).await;
        seen.expect_problem(422, "idempotency_key_guessable");
    }
    let key = Uuid::new_v4().to_string();
    let first = create(&[("idempotency-key", key.as_str())]).await.expect(201);
    let again = create(&[("idempotency-key", key.as_str())]).await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    for member in ["/id", "/cart_token"] {
        assert_eq!(again.text(member), first.text(member));
    }
    let other = create(&[]).await.expect(201);
    assert_ne!(other.body["id"], first.body["id"]);
}

#[tokio::test]
async fn a_guests_keys_belong_to_the_cart_whose_token_is_sent() {
    let world = World::start();
    world.product("tea", 10).await;
    let create = json!({"currency": "USD"});
    for guest in [Guest::with(&world, &[]).await, Guest::with(&world, &[]).await] {
        let headers = [("idempotency-key", "1"), ("tradewind-cart-token", &*guest.token)];
        let (path, line) = (format!("{}/lines", guest.path), json!({"sku": "tea", "quantity": 1}));
        let seen = world.ask("POST", &path, &headers, line).await.expect(200);
        assert_eq!(seen.header("idempotency-replayed"), "");
        // One who holds a cart may name requests at will, for further carts, too.
        let second = world.ask("POST", "/v1/carts", &headers, create.clone()).await.expect(201);
        assert_eq!(second.header("idempotency-replayed"), "");
    }
    let forged = [("idempotency-key", "1"), ("tradewind-cart-token", "made-up")];
    let seen = world.ask("POST", "/v1/carts", &forged, create).await;
    seen.expect_problem(422, "idempotency_key_guessable");
}

#[tokio::test]
async fn one_key_makes_one_thing_of_a_kind() {
    const REUSED: &str = "idempotency_key_reused";
    let world = World::start();
    let create = async |key: &str, path: &str, body: &Value| {
        world.keyed(key, "POST", path, body.clone()).await
    };
    let [dollars, euros] = ["USD", "EUR"].map(|currency| json!({"currency": currency}));
    let cart = create("k", "/v1/carts", &dollars).await.expect(201);
    let again = create("k", "/v1/carts", &dollars).await.expect(201);
    assert_eq!(again.body["id"], cart.body["id"]);
    create("k", "/v1/carts", &euros).await.expect_problem(422, REUSED);
    let key = json!({"name": "till", "roles": ["staff"]});
    let key = create("k", "/v1/api-keys", &key).await.expect(201);
    assert_ne!(key.body["id"], cart.body["id"]);

    let [a, b, c] = ["A", "B", "C"].map(product);
    create("p", "/v1/products", &a).await.expect(201);
    create("p", "/v1/products", &b).await.expect_problem(422, REUSED);
    create("q", "/v1/products", &b).await.expect(201);
    // A no that came from a step on the way counts like any other.
    create("t", "/v1/products", &b).await.expect_problem(409, "sku.taken");
    create("t", "/v1/products", &c).await.expect_problem(422, REUSED);
}

#[tokio::test]
async fn every_commit_of_a_purchase_has_a_command_id_of_its_own() {
    let world = World::start();
    let product = world.keyed("k", "POST", "/v1/products", product("tea")).await.expect(201);
    let path = format!("/v1/products/{}/publish", product.text("/id"));
    world.keyed("k", "POST", &path, json!({})).await.expect_problem(422, "idempotency_key_reused");
    world.staff("POST", &path, json!({})).await.expect(200);
    world.keyed("k", "POST", "/v1/stock/tea/receive", json!({"quantity": 9})).await.expect(200);
    let order_id = world.buy("tea", 1, "tok_ok").await;
    world.settled(order_id).await;
    let commands = commands_of_commits(&*world.log).await;
    let distinct: BTreeSet<_> = commands.iter().map(|(id, _)| id).collect();
    assert_eq!(distinct.len(), commands.len(), "{commands:?}");
    let kinds: BTreeSet<_> = commands.iter().map(|(_, kind)| *kind).collect();
    assert!(kinds.contains(&StreamType::Stock) && kinds.contains(&StreamType::Order));
}
