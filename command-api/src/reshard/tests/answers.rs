//! A command that is sent again after the copy gets its old answer.

use std::sync::Arc;

use infra::{
    clock::Clock,
    log::{CommitBody, EventLog},
};
use serde_json::{Value, json};

use super::{bodies, copied, shards};
use crate::testing::World;

/// One command of each kind of outcome: events, nothing to record, and refused.
fn commands(product: &str) -> [(&'static str, String, Value); 3] {
    [
        ("committed", "/v1/stock/tea/receive".to_owned(), json!({"quantity": 5})),
        ("unchanged", format!("/v1/products/{product}/publish"), json!({})),
        ("refused", "/v1/stock/milk/adjust".to_owned(), json!({"delta": -1, "reason": "broken"})),
    ]
}

async fn send(world: &World, product: &str) -> Vec<(bool, u16, Value)> {
    let mut answers = Vec::new();
    for (key, path, body) in commands(product) {
        let mut answer = world.keyed(key, "POST", &path, body).await;
        // The trace is that of the request, and positions are of one log.
        for field in ["trace_id", "position"] {
            answer.body[field] = Value::Null;
        }
        let replayed = answer.header("idempotency-replayed") == "true";
        answers.push((replayed, answer.status, answer.body));
    }
    answers
}

#[tokio::test]
async fn a_repeated_command_gets_its_old_answer_from_the_copy() {
    let world = World::start();
    let product = world.product("tea", 0).await;
    world.product("milk", 0).await;
    let answers = send(&world, &product).await;
    let statuses: Vec<_> =
        answers.iter().map(|(replayed, status, _)| (*replayed, *status)).collect();
    assert_eq!(statuses, [(false, 200), (false, 200), (false, 422)]);
    // Decided now, the third would be accepted.
    world.staff("POST", "/v1/stock/milk/receive", json!({"quantity": 7})).await.expect(200);
    let source = Arc::clone(&world.log);
    drop(world);
    for count in [1, 3, 8] {
        let target = copied(&source, count).await;
        let world = World::over(Arc::clone(&target), Clock::System);
        let again = send(&world, &product).await;
        for ((replayed, status, body), (_, old_status, old_body)) in again.iter().zip(&answers) {
            assert!(replayed, "{body}");
            assert_eq!((status, body), (old_status, old_body));
        }
        assert_eq!(world.stock("milk").await.on_hand(), 7);
    }
}

#[tokio::test]
async fn processes_that_read_the_copy_from_its_start_change_nothing() {
    let source = super::shop().await;
    let target = copied(&source, 3).await;
    let before = super::streams(&*target).await;
    let world = World::over(Arc::clone(&target), Clock::System);
    // Meanwhile they are through with the rest.
    let order_id = world.buy("milk", 1, "tok_ok").await;
    world.settled(order_id).await;
    drop(world);
    let after = super::streams(&*target).await;
    for (stream, (_, commits)) in before {
        let now = &after[&stream].1;
        let is_milk = stream.key() == "milk";
        assert!(now.starts_with(&commits) && (is_milk || now.len() == commits.len()), "{stream}");
    }
}

#[tokio::test]
async fn outcomes_stand_wherever_they_may_be_asked_for() {
    let world = World::start();
    let product = world.product("tea", 0).await;
    world.product("milk", 0).await;
    send(&world, &product).await;
    let source = Arc::clone(&world.log);
    drop(world);
    let outcomes = async |log: Arc<dyn EventLog>| {
        let mut outcomes = Vec::new();
        for shard in shards(&*log) {
            for body in bodies(&*log, shard).await {
                if let CommitBody::Barrier(barrier) = body {
                    outcomes.extend(barrier.outcomes.into_iter().map(|it| (shard, it.command_id)));
                }
            }
        }
        outcomes
    };
    let old = outcomes(Arc::clone(&source)).await;
    assert_eq!(outcomes(copied(&source, 1).await).await.len(), old.len());
    let new = outcomes(copied(&source, 8).await).await;
    assert_eq!(new.len(), 2 * old.len());
    assert!(new.iter().all(|(shard, id)| {
        old.iter().any(|(of, known)| known == id && of.index() == shard.index() % 4)
    }));
}
