//! Commands of wish lists: the worked example of docs/adding.md.

use proptest::{collection::btree_set, sample::select};
use reqwest::Method;
use serde_json::{Value, json};
use tests::harness::client::Answer;

use super::{
    CASES,
    sent::{draw, needed, nothing, object, runner, sku, text, uuid},
    tried::{Tried, assert_shows, sent},
};

pub(super) async fn try_all(tried: &Tried<'_>) {
    let (mut runner, staff) = (runner(8), &tried.staff);
    for _ in 0..CASES {
        let path = format!("/v1/wish-lists/{}", draw(&mut runner, &uuid()));
        let mut skus = Vec::new();
        for sku in draw(&mut runner, &btree_set(sku(), 2..5)) {
            let body = draw(&mut runner, &nothing());
            let entry = staff.command(Method::PUT, &format!("{path}/skus/{sku}"));
            let answer = sent(entry, body.as_ref()).await;
            let command = "PUT /v1/wish-lists/{id}/skus/{sku}";
            let Some(added) = tried.judge(command, &json!(body), answer) else { continue };
            skus.push(sku);
            shows(tried, &path, &added, json!({"skus": skus})).await;
        }
        let body = draw(&mut runner, &object(vec![("name", needed(text(200)))]));
        let answer = staff.put(&format!("{path}/name"), &body).await;
        if let Some(renamed) = tried.judge("PUT /v1/wish-lists/{id}/name", &body, answer) {
            shows(tried, &path, &renamed, body).await;
        }
        if skus.is_empty() {
            continue;
        }
        let sku = draw(&mut runner, &select(skus.clone()));
        let body = draw(&mut runner, &nothing());
        let entry = staff.command(Method::DELETE, &format!("{path}/skus/{sku}"));
        let answer = sent(entry, body.as_ref()).await;
        let command = "DELETE /v1/wish-lists/{id}/skus/{sku}";
        if let Some(removed) = tried.judge(command, &json!(body), answer) {
            skus.retain(|listed| *listed != sku);
            shows(tried, &path, &removed, json!({"skus": skus})).await;
        }
    }
}

/// What the list has to be by now.
async fn shows(tried: &Tried<'_>, path: &str, accepted: &Answer, mut expected: Value) {
    expected["id"] = accepted.body["id"].clone();
    expected["revision"] = accepted.body["revision"].clone();
    assert_shows(&tried.shown(path, accepted).await, &expected);
}
