//! Answers that wait for what the process managers make of a command: for that, and for nothing else.

use std::{pin::pin, time::Duration};

use domain::{
    id::{CartId, OrderId, ProductId},
    order::Order,
    shard::ShardId,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    cart_of,
    overload::{Gated, LIMITS, SHARE, SOON, codes},
    product_with_id,
};
use crate::testing::{Answer, World, checkout};

/// It does not answer while its gate is shut.
const SLOW: ShardId = ShardId::new(0);
const OTHER: ShardId = ShardId::new(1);

/// Products whose streams lie in the shard that answers.
fn products(world: &World) -> impl Iterator<Item = ProductId> {
    let ids = (1..).map(|n| ProductId::new(Uuid::from_u128(n)));
    ids.filter(|id| world.engine.shard_of(&id.stream()) == OTHER)
}

/// Carts in shards that answer; the orders that they become lie in the one that does not.
fn carts(world: &World) -> impl Iterator<Item = CartId> {
    let ids = (1..).map(|n| CartId::new(Uuid::from_u128(n)));
    let shard = |stream| world.engine.shard_of(&stream);
    ids.filter(move |id| shard(id.stream()) != SLOW && shard(id.order_id().stream()) == SLOW)
}

/// A staff cart with a unit of something whose code is looked up in a shard that answers.
async fn fill(world: &World, id: CartId, sku: &str) {
    let mut body = cart_of([sku]);
    body["id"] = id.to_string().into();
    world.staff("POST", "/v1/carts", body).await.expect(201);
}

async fn check_out(world: &World, key: &str, id: CartId) -> Answer {
    world.keyed(key, "POST", &format!("/v1/carts/{id}/checkout"), checkout("tok_ok")).await
}

#[tokio::test]
async fn a_process_that_is_slow_holds_its_own_answer_back_and_no_other() {
    let log = Gated::new();
    let world = World::limited(log.clone(), LIMITS);
    let skus = [SLOW, OTHER].map(|shard| codes(&world, shard).next().unwrap());
    let ids: Vec<ProductId> = products(&world).take(2).collect();
    for (id, sku) in ids.iter().zip(&skus) {
        world.staff("POST", "/v1/products", product_with_id(id, sku)).await.expect(201);
    }
    log.gate(SLOW).send_replace(false);
    let mut slow = pin!(world.tell_product(ids[0], "publish"));
    assert!(timeout(Duration::from_millis(50), &mut slow).await.is_err(), "it waits");
    timeout(SOON, world.tell_product(ids[1], "publish")).await.expect("a quick yes").expect(200);
    // The product is published by now; that carts find it is what is waited for.
    let mut again = pin!(world.tell_product(ids[0], "publish"));
    assert!(timeout(Duration::from_millis(50), &mut again).await.is_err(), "it waits, too");
    log.gate(SLOW).send_replace(true);
    slow.await.expect(200);
    assert_eq!(again.await.expect(200).body["events"], json!([]));
    world.staff("POST", "/v1/carts", cart_of(skus)).await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn a_checkout_whose_time_is_over_is_completed_by_a_retry() {
    let log = Gated::new();
    let world = World::limited(log.clone(), LIMITS);
    let sku = codes(&world, OTHER).next().unwrap();
    world.product(&sku, 5).await;
    let cart = carts(&world).next().unwrap();
    fill(&world, cart, &sku).await;
    log.gate(SLOW).send_replace(false);
    let late = check_out(&world, "k", cart).await;
    assert_eq!(late.header("retry-after"), "1");
    late.expect_problem(503, "outcome_unknown");
    check_out(&world, "k", cart).await.expect_problem(503, "outcome_unknown");

    log.gate(SLOW).send_replace(true);
    let done = check_out(&world, "k", cart).await.expect(202);
    assert_eq!(done.header("idempotency-replayed"), "true");
    let order_id: OrderId = done.text("/order_id").parse().unwrap();
    assert!(world.read::<Order>(&order_id).await.placed.is_some());
    let again = check_out(&world, "k", cart).await.expect(202);
    assert_eq!(again.raw, done.raw);
    // The answer says where the order is, also to whoever finds the cart checked out.
    let other = check_out(&world, "l", cart).await.expect(202);
    assert_eq!(other.body["events"], json!([]));
}

#[tokio::test]
async fn checkouts_that_wait_for_a_slow_shard_leave_room_to_the_others() {
    let log = Gated::new();
    let world = World::limited(log.clone(), LIMITS);
    let sku = codes(&world, OTHER).next().unwrap();
    world.product(&sku, 50).await;
    let ids: Vec<CartId> = carts(&world).take(SHARE / 2 + 1).collect();
    for id in &ids {
        fill(&world, *id, &sku).await;
    }
    log.gate(SLOW).send_replace(false);
    let (last, first) = ids.split_last().unwrap();
    let mut waiting = FuturesUnordered::new();
    for id in first {
        waiting.push(check_out(&world, "k", *id));
        assert!(timeout(Duration::from_millis(50), waiting.next()).await.is_err(), "it waits");
    }
    let refused = timeout(SOON, check_out(&world, "k", *last)).await.expect("a quick no");
    refused.expect_problem(503, "busy");
    world.receive(&sku).await.expect(200);
    log.gate(SLOW).send_replace(true);
    while let Some(answer) = waiting.next().await {
        answer.expect(202);
    }
}
