//! Commands of API keys.

use proptest::{prelude::*, sample::subsequence};
use reqwest::Method;
use serde_json::{Value, json};
use tests::harness::client::{Answer, Client};

use super::{
    CASES,
    sent::{Values, draw, instant, kept_instant, needed, nothing, object, optional, runner, text},
    tried::{Tried, assert_shows, sent, told},
};

/// From 2033 on.
const SECONDS: std::ops::Range<i64> = 2_000_000_000..253_402_300_800;
const EDGES: [&str; 5] = [
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59+23:59",
    "9999-12-31T23:59:59-00:01",
    "0001-01-01T00:00:00Z",
    "2096-02-29t00:00:00.000000999z",
];

fn new_key() -> Values {
    let roles = vec!["customer", "staff", "analyst", "operator"];
    let roles = prop_oneof![
        12 => subsequence(roles, 1..=4).prop_map(|roles| json!(roles)),
        1 => Just(json!([])),
        1 => Just(json!(["guest"])),
    ];
    object(vec![
        ("name", needed(text(200))),
        ("roles", needed(roles)),
        ("expires_at", optional(instant(SECONDS, &EDGES))),
    ])
}

pub(super) async fn try_all(tried: &Tried<'_>) {
    let (mut runner, operator) = (runner(6), &tried.operator);
    let mut keys = Vec::new();
    for _ in 0..CASES {
        let body = draw(&mut runner, &new_key());
        let answer = operator.post("/v1/api-keys", &body).await;
        let Some(issued) = tried.judge("POST /v1/api-keys", &body, answer) else { continue };
        // No document shows a key; its own answer does, once.
        let mut expected = body.clone();
        if expected["expires_at"].is_string() {
            expected["expires_at"] = kept_instant(&body["expires_at"]);
        }
        let sorted = |roles: &Value| {
            let mut roles = roles.as_array().cloned().unwrap_or_default();
            roles.sort_by_key(ToString::to_string);
            roles
        };
        assert_eq!(sorted(&issued.body["roles"]), sorted(&body["roles"]), "{}", issued.body);
        expected["roles"] = issued.body["roles"].clone();
        assert_shows(&issued.body, &expected);
        tried.logs(&issued, expected);
        let client = tried.stack.client(Some(issued.text("/key")));
        let _known = knocks(&client, &issued).await.expect(200);
        keys.push((client, format!("/v1/api-keys/{}", issued.text("/id"))));
    }
    for case in 0..CASES {
        let (client, path) = &keys[case % keys.len()];
        let body = draw(&mut runner, &nothing());
        let answer = sent(operator.command(Method::DELETE, path), body.as_ref()).await;
        let command = "DELETE /v1/api-keys/{id}";
        let Some(revoked) = tried.judge(command, &json!(body), answer) else { continue };
        let _unknown = knocks(client, &revoked).await.expect(401);
    }
}

/// How the query API receives a key at the position of an answer.
async fn knocks(client: &Client, accepted: &Answer) -> Answer {
    told(client.query("/v1/positions"), accepted).await
}
