//! A command that is sent again is answered again, not done again.

use serde_json::json;
use tests::harness::Stack;

use crate::shop::{product, sound_log};

#[tokio::test]
async fn a_retry_gets_the_first_answer_and_a_key_belongs_to_its_caller() {
    let stack = Stack::start().await;
    let staff = stack.staff();
    let _tea = product(&stack, "tea", 450, 1).await;
    let (receive, body) = ("/v1/stock/tea/receive", json!({"quantity": 5}));
    let first = staff.post_as("delivery-7", receive, &body).await.expect(200);
    let again = staff.post_as("delivery-7", receive, &body).await.expect(200);
    assert_eq!(first.header("Idempotency-Replayed"), "");
    assert_eq!(again.header("Idempotency-Replayed"), "true");
    assert_eq!(again.body["events"], first.body["events"]);
    assert_eq!(again.body["revision"], first.body["revision"]);

    let other = staff.post_as("delivery-7", receive, &json!({"quantity": 6})).await;
    let _reused = other.expect_problem(422, "idempotency_key_reused");
    let stock = staff.get_after("/v1/stock/tea", &first).await.expect(200);
    assert_eq!(stock.body["on_hand"], 6);

    let other = stack.operator().post_as("delivery-7", receive, &body).await.expect(200);
    assert_eq!(other.header("Idempotency-Replayed"), "");
    let stock = staff.get_after("/v1/stock/tea", &other).await.expect(200);
    assert_eq!(stock.body["on_hand"], 11);

    let audit = sound_log(&stack).await;
    assert!(audit.events.contains(first.text("/events/0/id")));
    stack.finish().await;
}

#[tokio::test]
async fn retries_at_the_same_moment_happen_once() {
    let stack = Stack::start().await;
    let _tea = product(&stack, "tea", 450, 1).await;
    let staff = stack.staff();
    let body = json!({"quantity": 5});
    let sent = (0..20).map(|_| staff.post_as("once", "/v1/stock/tea/receive", &body));
    let answers = futures_util::future::join_all(sent).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["events"], answers[0].body["events"]);
    }
    let stock = staff.get_after("/v1/stock/tea", &answers[0]).await.expect(200);
    assert_eq!(stock.body["on_hand"], 6);
    stack.finish().await;
}
