//! Many commands in one request.

use axum::body::{Body, BodyDataStream};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{keys::revoke, product_with_id};
use crate::testing::{Answer, OPERATOR, World, checkout, new_uuid};

async fn send(world: &World, body: impl Into<Body>) -> (Answer, Vec<Value>) {
    let seen = world.send(World::batch(OPERATOR, body)).await;
    let lines = lines(&seen);
    (seen, lines)
}

fn lines(seen: &Answer) -> Vec<Value> {
    seen.raw.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A batch whose lines are sent one by one, and its answers.
async fn streamed(world: &World, key: &str) -> (mpsc::Sender<String>, BodyDataStream) {
    let (lines, sent) = mpsc::channel(1);
    let sent = stream::unfold(sent, async |mut sent: mpsc::Receiver<String>| {
        Some((Ok::<_, std::io::Error>(sent.recv().await?), sent))
    });
    let response = world.respond(World::batch(key, Body::from_stream(sent))).await;
    (lines, response.into_body().into_data_stream())
}

fn line(key: &str, method: &str, path: &str, body: &Value) -> String {
    json!({"idempotency_key": key, "method": method, "path": path, "body": body}).to_string() + "\n"
}

#[tokio::test]
async fn lines_that_depend_on_each_other_keep_their_order() {
    let world = World::start();
    let mut body = String::new();
    for n in 0..100 {
        let id = new_uuid();
        let new = product_with_id(&id, &format!("S-{n}"));
        body += &line(&format!("p-{n}"), "POST", "/v1/products", &new);
        body += &line(&format!("u-{n}"), "POST", &format!("/v1/products/{id}/publish"), &json!({}));
    }
    for n in 0..100 {
        let (id, sku) = (new_uuid(), format!("S-{n}"));
        body +=
            &line(&format!("c-{n}"), "POST", "/v1/carts", &json!({"id": id, "currency": "USD"}));
        let lines = json!({"lines": [{"sku": sku, "quantity": 1}]});
        body += &line(&format!("l-{n}"), "PUT", &format!("/v1/carts/{id}/lines"), &lines);
        let path = format!("/v1/carts/{id}/checkout");
        body += &line(&format!("o-{n}"), "POST", &path, &checkout("tok_ok"));
    }
    let (seen, first) = send(&world, body.clone()).await;
    assert_eq!(seen.header("content-type"), "application/x-ndjson");
    assert_eq!(first.len(), 500);
    for (index, answer) in first.iter().enumerate() {
        assert_eq!(answer["index"], index);
        assert!(answer["status"].as_u64().unwrap() < 300, "{answer}");
    }
    let (again, _) = send(&world, body).await;
    assert_eq!(again.raw, seen.raw, "a second time changes nothing");
}

#[tokio::test]
async fn a_bad_line_fails_alone() {
    let world = World::start();
    let receive = |key: &str| line(key, "POST", "/v1/stock/A/receive", &json!({"quantity": 1}));
    let body = [
        receive("a"),
        "{\"method\": \n".to_owned(),
        line("b", "GET", "/v1/stock/A/receive", &json!({})),
        line("c", "POST", "/v1/nothing", &json!({})),
        line("d", "DELETE", "/v1/stock/A/receive", &json!({})),
        line("a", "POST", "/v1/stock/A/receive", &json!({"quantity": 2})),
        format!("{{\"path\": \"{}\"}}\n", "x".repeat(1 << 20)),
        line("e", "POST", "/v1/batch", &json!({})),
        receive("f"),
    ];
    let (seen, answers) = send(&world, body.concat()).await;
    let trace_id = seen.header("x-request-id");
    for answer in answers.iter().filter(|answer| answer["status"].as_u64().unwrap() >= 400) {
        assert_eq!(answer["body"]["trace_id"], trace_id, "{answer}");
    }
    let answers: Vec<(u64, &str)> = answers
        .iter()
        .map(|answer| {
            (answer["status"].as_u64().unwrap(), answer["body"]["code"].as_str().unwrap_or(""))
        })
        .collect();
    let expected = [
        (200, ""),
        (400, "malformed_json"),
        (422, "invalid_field"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (422, "idempotency_key_reused"),
        (413, "body_too_large"),
        (404, "not_found"),
        (200, ""),
    ];
    assert_eq!(answers, expected);
    assert_eq!(world.stock("A").await.on_hand(), 2);
}

#[tokio::test]
async fn what_no_type_sees_of_a_line_is_refused_with_its_place() {
    let world = World::start();
    let line = |body: &str| {
        format!("{{\"method\": \"POST\", \"path\": \"/v1/stock/A/receive\", \"body\": {body}}}\n")
    };
    let body = [
        line("{\"quantity\": 1, \"quantity\": 2}"),
        line("{\"quantity\": 1e400}"),
        line("{\"quantity\": 1, \"reference\": \"a\\u0000\"}"),
        line("{\"quantity\": 0}"),
    ];
    let (_, answers) = send(&world, body.concat()).await;
    let told: Vec<_> = answers
        .iter()
        .map(|answer| {
            let error = &answer["body"]["errors"][0];
            (answer["status"].as_u64(), error["pointer"].as_str(), error["code"].as_str())
        })
        .collect();
    let expected = [
        (Some(422), Some("/body/quantity"), Some("duplicate")),
        (Some(422), Some("/body/quantity"), Some("out_of_range")),
        (Some(422), Some("/body/reference"), Some("control_character")),
        (Some(422), Some("/quantity"), Some("out_of_range")),
    ];
    assert_eq!(told, expected);
    assert_eq!(world.stock("A").await.on_hand(), 0);
}

#[tokio::test]
async fn answers_come_while_the_batch_is_being_sent() {
    let world = World::start();
    let (lines, mut answers) = streamed(&world, OPERATOR).await;
    for index in 0..3 {
        let receive = line("k", "POST", "/v1/stock/A/receive", &json!({"quantity": 1}));
        lines.send(receive).await.unwrap();
        let answer = answers.next().await.unwrap().unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((&answer["index"], &answer["status"]), (&json!(index), &json!(200)));
    }
}

#[tokio::test]
async fn a_batch_is_for_staff_and_ndjson() {
    let world = World::start();
    world.guest("POST", "/v1/batch", json!({})).await.expect_problem(401, "unauthenticated");
    let seen = world.staff("POST", "/v1/batch", json!({})).await;
    seen.expect_problem(415, "unsupported_media_type");
}

async fn send_under(world: &World, key: &str, body: String) -> Vec<Value> {
    let mut request = World::batch(OPERATOR, body);
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    lines(&world.send(request).await)
}

#[tokio::test]
async fn the_key_of_the_batch_counts_for_lines_without_one() {
    let world = World::start();
    let keyless = json!({"method": "POST", "path": "/v1/stock/A/receive", "body": {"quantity": 1}});
    let body = format!("{keyless}\n{keyless}\n");
    for _ in 0..2 {
        for answer in send_under(&world, "batch", body.clone()).await {
            assert_eq!(answer["status"], 200, "{answer}");
        }
        assert_eq!(world.stock("A").await.on_hand(), 2);
    }
    // However little room the longest keys leave for a number.
    for (key, on_hand) in [("x".repeat(250), 4), ("x".repeat(253), 6), ("x".repeat(255), 8)] {
        for _ in 0..2 {
            for answer in send_under(&world, &key, body.clone()).await {
                assert_eq!(answer["status"], 200, "{answer}");
            }
            assert_eq!(world.stock("A").await.on_hand(), on_hand);
        }
    }
}

#[tokio::test]
async fn all_may_be_sent_before_anything_is_read() {
    let world = World::start();
    let line = json!({"method": "POST", "path": "/v1/nothing", "body": {}}).to_string() + "\n";
    let (sent, mut answers) = streamed(&world, OPERATOR).await;
    // The first answer is asked for, and comes only when all has been sent.
    let first = answers.next();
    let sending = async move {
        for _ in 0..5_000 {
            sent.send(line.clone()).await.unwrap();
        }
    };
    let (first, ()) = tokio::join!(first, sending);
    let rest = answers.collect::<Vec<_>>().await;
    assert!(first.is_some());
    assert_eq!(rest.len(), 4_999);
}

#[tokio::test]
async fn a_line_may_ask_that_there_is_nothing_yet() {
    let world = World::start();
    let receive = |key: &str, conditions: Value| {
        let mut line = json!({"method": "POST", "path": "/v1/stock/A/receive"});
        line["idempotency_key"] = key.into();
        line["body"] = json!({"quantity": 1});
        line.as_object_mut().unwrap().extend(conditions.as_object().unwrap().clone());
        format!("{line}\n")
    };
    let body = [
        receive("a", json!({"if_none_match": "*"})),
        receive("b", json!({"if_none_match": "*"})),
        receive("c", json!({"if_match": "*"})),
        receive("d", json!({"if_match": "*", "if_none_match": "*"})),
        receive("e", json!({"if_none_match": "x"})),
    ];
    let (_, answers) = send(&world, body.concat()).await;
    let statuses: Vec<_> =
        answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 412, 200, 412, 400], "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn lines_after_the_revocation_of_their_key_are_refused() {
    let world = World::start();
    let issued = world.issue_key().await;
    let (lines, mut answers) = streamed(&world, issued.text("/key")).await;
    let mut run = async |number: u32| {
        let receive = json!({"quantity": 1});
        let line = line(&format!("k-{number}"), "POST", "/v1/stock/A/receive", &receive);
        lines.send(line).await.unwrap();
        let answer = answers.next().await.unwrap().unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()
    };
    assert_eq!(run(0).await["status"], 200);
    revoke(&world, issued.text("/id")).await;
    tokio::time::advance(infra::auth::KEY_AGE_MAX).await;
    for number in 1..4 {
        let answer = run(number).await;
        assert_eq!(
            (&answer["status"], &answer["body"]["code"]),
            (&401.into(), &"invalid_key".into())
        );
    }
    assert_eq!(world.stock("A").await.on_hand(), 1);
}
