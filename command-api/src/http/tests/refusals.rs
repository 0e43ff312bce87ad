//! What a process is refused, or cannot do at all: never silence.

use std::sync::Arc;

use domain::{
    Event,
    cart::{Cart, Status as CartStatus},
    id::{CartId, OrderId, Sku, StreamId},
    order::{Order, Status},
    shard::shard_of,
};
use infra::{
    clock::Clock,
    log::{EventLog, memory::MemoryLog, owner::Owner, sample},
};
use serde_json::{Value, json};

use super::cart_of;
use crate::testing::{Answer, World, checkout, events, eventually, new_uuid};

/// A staff cart with a unit of tea.
async fn cart(world: &World) -> CartId {
    let cart = world.staff("POST", "/v1/carts", cart_of(["tea"])).await.expect(201);
    cart.text("/id").parse().unwrap()
}

async fn check_out(world: &World, cart: CartId, order_id: &str) -> Answer {
    let mut body = checkout("tok_ok");
    body["order_id"] = json!(order_id);
    world.staff("POST", &format!("/v1/carts/{cart}/checkout"), body).await
}

#[tokio::test]
async fn an_order_id_that_is_taken_is_refused_at_the_checkout() {
    let world = World::start();
    world.product("tea", 5).await;
    let order_id = new_uuid();
    let (first, second) = (cart(&world).await, cart(&world).await);
    check_out(&world, first, &order_id).await.expect(202);
    check_out(&world, second, &order_id).await.expect_problem(409, "order.exists");
    let cart = world.read::<Cart>(&second).await;
    assert_eq!(cart.status, CartStatus::Open);
    check_out(&world, second, &new_uuid()).await.expect(202);
}

#[tokio::test]
async fn of_two_checkouts_at_once_as_one_order_one_is_refused_where_its_cart_tells() {
    let world = World::start();
    world.product("tea", 50).await;
    for _ in 0..10 {
        let order_id = new_uuid();
        let (first, second) = (cart(&world).await, cart(&world).await);
        let (one, two) =
            tokio::join!(check_out(&world, first, &order_id), check_out(&world, second, &order_id));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 409], "{} {}", one.raw, two.raw);
        let loser = if one.status == 202 { second } else { first };
        eventually("the loser's cart is open", || async {
            let cart = world.read::<Cart>(&loser).await;
            (cart.status == CartStatus::Open).then_some(())
        })
        .await;
        let order = world.settled(order_id.parse().unwrap()).await;
        assert_eq!(order.status, Status::Confirmed);
    }
    assert_eq!(world.stock("tea").await.on_hand(), 40);
}

#[tokio::test]
async fn the_order_is_there_when_the_checkout_answers() {
    let world = World::start();
    world.product("tea", 50).await;
    for _ in 0..20 {
        let cart = cart(&world).await;
        let path = format!("/v1/carts/{cart}/checkout");
        let seen = world.staff("POST", &path, checkout("tok_ok")).await.expect(202);
        let id: OrderId = seen.text("/order_id").parse().unwrap();
        let order = world.read::<Order>(&id).await;
        assert!(order.placed.is_some());
        let again = world.staff("POST", &path, checkout("tok_ok")).await.expect(202);
        assert_eq!(again.body["order_id"], seen.body["order_id"]);
    }
}

async fn parked(world: &World) -> Vec<Value> {
    let seen = world.staff("GET", "/v1/admin/parked-steps", json!({})).await.expect(200);
    seen.body["items"].as_array().unwrap().clone()
}

/// A log whose stream holds what a release of the future wrote.
async fn log_of_the_future(stream: StreamId) -> Arc<dyn EventLog> {
    let log = MemoryLog::new(4);
    let mut owner = Owner::claim(&log, shard_of(&stream, 4)).await.unwrap();
    let event = sample::stored(stream, 1, "tradewind.stock.received.v9", "{}");
    owner.commit(vec![event]).await.unwrap();
    Arc::new(log)
}

/// An order that waits because the stock of tea cannot be read; the step that is parked, and its path.
async fn stuck() -> (World, OrderId, Value, String) {
    let stock = "tea".parse::<Sku>().unwrap().stock_stream();
    let world = World::over(log_of_the_future(stock).await, Clock::System);
    world.product("tea", 0).await;
    let order_id = world.buy("tea", 1, "tok_ok").await;
    let step = eventually("the step is parked", || async { parked(&world).await.pop() }).await;
    let path = format!("/v1/admin/parked-steps/{}", step["id"].as_str().unwrap());
    (world, order_id, step, path)
}

async fn gone(world: &World, path: &str) {
    eventually("nothing is left of it", || async {
        (world.staff("GET", path, json!({})).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_step_on_an_unreadable_stream_is_parked_and_skipping_it_rejects_the_order() {
    let (world, order_id, step, path) = stuck().await;
    assert_eq!(step["state"], "parked");
    assert_eq!((&step["step"], &step["target"]), (&json!("reserve tea"), &json!("stock/tea")));
    assert_eq!(step["error"]["code"], "stream_unreadable");
    assert_eq!(step["event"]["stream"], order_id.stream().as_str());
    world.staff("GET", &path, json!({})).await.expect(200);
    world.guest("GET", &path, json!({})).await.expect(401);

    let skip = format!("{path}/skip");
    world.staff("POST", &skip, json!({"reason": " "})).await.expect_problem(422, "invalid_field");
    world.staff("POST", &skip, json!({"reason": "the stock is lost"})).await.expect(202);
    let order = world.settled(order_id).await;
    assert_eq!(order.status, Status::Rejected);
    gone(&world, &path).await;
    assert!(parked(&world).await.iter().all(|left| left["id"] != step["id"]));
    let events = events(&*world.log).await;
    let rejected = events.iter().find_map(|event| match event {
        Event::Order(domain::order::Event::Rejected { reasons }) => Some(reasons.clone()),
        _ => None,
    });
    let reasons = rejected.unwrap();
    assert_eq!(
        (reasons[0].code.as_str(), reasons[0].detail.as_str()),
        ("step.skipped", "the stock is lost")
    );
    let audit = |event: &&Event| matches!(event, Event::Process(domain::process::Event::StepSkipped { by, .. }) if by.starts_with("key:"));
    assert_eq!(events.iter().filter(audit).count(), 1);
}

#[tokio::test]
async fn a_checkout_whose_order_is_parked_is_told_so_at_once() {
    let cart_id: CartId = new_uuid().parse().unwrap();
    let log = log_of_the_future(cart_id.order_id().stream()).await;
    let world = World::over(log, Clock::System);
    world.product("tea", 5).await;
    let mut body = cart_of(["tea"]);
    body["id"] = cart_id.to_string().into();
    world.staff("POST", "/v1/carts", body).await.expect(201);
    let path = format!("/v1/carts/{cart_id}/checkout");
    let seen = world.staff("POST", &path, checkout("tok_ok")).await;
    seen.expect_problem(503, "stream_unreadable");
    let parked = parked(&world).await;
    assert!(parked.iter().any(|step| step["step"] == "place"), "{parked:?}");
}

#[tokio::test]
async fn what_was_said_of_a_step_is_answered_again_when_it_is_done_with() {
    let (world, order_id, _, path) = stuck().await;
    let skip = format!("{path}/skip");
    let send = async |key: &str, reason: &str| {
        world.keyed(key, "POST", &skip, json!({"reason": reason})).await
    };
    let first = send("k", "the stock is lost").await.expect(202);
    world.settled(order_id).await;
    gone(&world, &path).await;
    let again = send("k", "the stock is lost").await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body["events"], first.body["events"]);
    send("k", "for another reason").await.expect_problem(422, "idempotency_key_reused");
    send("l", "the stock is lost").await.expect_problem(404, "step.not_found");
}

#[tokio::test]
async fn a_retried_step_that_fails_again_is_parked_again() {
    let (world, _, _, path) = stuck().await;
    world.staff("POST", &format!("{path}/retry"), json!({})).await.expect(202);
    eventually("it is parked again", || async {
        let seen = world.staff("GET", &path, json!({})).await.expect(200);
        (seen.body["state"] == "parked" && seen.body["attempt"] == 1).then_some(())
    })
    .await;
    let nobodys = "/v1/admin/parked-steps/00000000-0000-0000-0000-000000000000/retry";
    world.staff("POST", nobodys, json!({})).await.expect_problem(404, "step.not_found");
}
