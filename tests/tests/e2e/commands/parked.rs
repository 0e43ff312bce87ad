//! Commands on steps that wait for an operator.
//!
//! Such steps are made with payments that nobody can read: no read model is made of those, so that
//! nothing but the processes minds.

use domain::{
    id::StreamId,
    shard::{ShardId, shard_of},
};
use infra::log::{EventLog, owner::Owner, sample};
use reqwest::Method;
use serde_json::{Value, json};
use stack::eventually::eventually;
use tests::harness::{Stack, client::Answer};
use uuid::Uuid;

use super::{
    CASES,
    sent::{draw, needed, nothing, object, runner, text},
    tried::{Tried, assert_shows, parked_steps, sent},
};
use crate::shop::{SETTLE_WAIT_MAX, log_of, product, settled};

const RETRY: &str = "POST /v1/admin/parked-steps/{id}/retry";
const SKIP: &str = "POST /v1/admin/parked-steps/{id}/skip";

/// Orders whose payments will be unreadable, before anybody else has use of their shard.
pub(super) async fn poison(stack: &Stack) -> Vec<Uuid> {
    let log = log_of(stack).await;
    let (shard, mut orders) = (ShardId::new(0), Vec::new());
    let mut owner = Owner::claim(&log, shard).await.expect("the shard");
    while orders.len() < CASES {
        let order = Uuid::now_v7();
        let payment = Uuid::new_v5(&order, b"payment");
        let payment: StreamId = format!("payment/{payment}").parse().expect("a stream");
        if shard_of(&payment, log.shard_count()) != shard {
            continue;
        }
        let data = json!({"amount": "five dollars"}).to_string();
        let event = sample::stored(payment, 1, "tradewind.payment.requested.v1", data);
        owner.commit(vec![event]).await.expect("an event");
        orders.push(order);
    }
    owner.finish().await.expect("all of it");
    orders
}

pub(super) async fn try_all(tried: &Tried<'_>, orders: &[Uuid]) {
    let (mut runner, staff) = (runner(7), &tried.staff);
    let _seal = product(tried.stack, "seal", 450, 10_000).await;
    for order_id in orders {
        let cart = json!({"currency": "USD", "lines": [{"sku": "seal", "quantity": 1}]});
        let cart = staff.post("/v1/carts", &cart).await.expect(201);
        let sale =
            json!({"channel": "pos", "order_id": order_id, "payment": {"method_token": "cash"}});
        let path = format!("/v1/carts/{}/checkout", cart.text("/id"));
        let _checkout = staff.post(&path, &sale).await.expect(202);
    }
    for order_id in orders {
        let body = draw(&mut runner, &nothing());
        let step = waiting(tried, order_id, 0).await;
        let answer = settle(tried, &step, "retry", body.as_ref()).await;
        let retried = tried.judge(RETRY, &json!(body), answer).is_some();
        // Nobody can read it still.
        let step = waiting(tried, order_id, u64::from(retried)).await;

        let body = object(vec![("reason", needed(text(1_000)))]);
        let mut body = draw(&mut runner, &body);
        let answer = settle(tried, &step, "skip", Some(&body)).await;
        let skipped = tried.judge(SKIP, &body, answer);
        if skipped.is_none() {
            body = json!({"reason": "plain"});
            let _skipped = settle(tried, &step, "skip", Some(&body)).await.expect(202);
        }
        let order = settled(staff, &order_id.to_string()).await;
        let reasons = json!([{"code": "step.skipped", "detail": body["reason"]}]);
        assert_shows(&order["reasons"], &reasons);
        if let Some(skipped) = skipped {
            tried.logs(&skipped, body);
        }
    }
    // The unreadable events themselves.
    for step in parked_steps(&tried.operator).await {
        let _skipped =
            settle(tried, &step, "skip", Some(&json!({"reason": "ours"}))).await.expect(202);
    }
    eventually("no step is left", SETTLE_WAIT_MAX, || async {
        let left = parked_steps(&tried.operator).await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

async fn settle(tried: &Tried<'_>, step: &Value, action: &str, body: Option<&Value>) -> Answer {
    let path = format!("/v1/admin/parked-steps/{}/{action}", step["id"].as_str().expect("an id"));
    sent(tried.operator.command(Method::POST, &path), body).await
}

/// The step of an order that waits after as many tries.
async fn waiting(tried: &Tried<'_>, order_id: &Uuid, attempt: u64) -> Value {
    let stream = format!("order/{order_id}");
    eventually("the step waits", SETTLE_WAIT_MAX, || async {
        let steps = parked_steps(&tried.operator).await;
        let ours = steps.into_iter().find(|step| step["event"]["stream"] == *stream);
        let step = ours.unwrap_or_default();
        let waits = step["state"] == "parked" && step["attempt"] == attempt;
        if waits { Ok(step) } else { Err(step) }
    })
    .await
}
