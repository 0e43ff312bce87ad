//! What stands around the projections: notifications, lag, readiness, the operators' door.

use infra::postgres::{Listener, ListenerEvent, POSITIONS_CHANNEL};
use serde_json::{Value, json};
use stack::{eventually::eventually, plain_http};
use tests::harness::servers;
use uuid::Uuid;

use crate::{
    history::{Owner, product_created, received},
    rig::{OPERATOR_KEY, Projector, Rig, WAIT_MAX},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_batch_tells_the_position_of_all_once() {
    let rig = Rig::start(1).await;
    let mut listener = Listener::new(rig.pool.clone(), POSITIONS_CHANNEL);
    assert_eq!(listener.next().await, ListenerEvent::Gap);
    let mut owner = Owner::claim(&rig.log, 0).await;
    let end = owner.commit(&[received("A", 1, 7)]);
    let projector = rig.projector();
    let heard = tokio::time::timeout(WAIT_MAX, async {
        loop {
            if let ListenerEvent::Payload(text) = listener.next().await {
                let told: Value = serde_json::from_str(&text).expect("JSON");
                let others = told["with"].as_array().cloned().unwrap_or_default();
                if others.contains(&json!(["stock", 1])) {
                    return told;
                }
            }
        }
    });
    let heard = heard.await.expect("a notification");
    assert_eq!(heard["next_offset"], end);
    let others = heard["with"].as_array().map(Vec::len);
    assert_eq!(others, Some(read_models::ALL.len() - 1), "{heard}");
    assert_eq!((&heard["version"], &heard["shard"]), (&1.into(), &0.into()));
    assert_eq!(heard["log_id"].as_str().map(str::len), Some(16));
    drop(listener);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barrier_moves_every_checkpoint_and_a_claim_at_the_end_is_no_lag() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    let mut owner = Owner::claim(&rig.log, 0).await;
    owner.commit(&[product_created(Uuid::now_v7(), "A")]);
    let end = owner.barrier();
    Owner::claim(&rig.log, 0).await;
    rig.applied_to(0, end).await;
    eventually("no lag", WAIT_MAX, || async {
        let told = status(&projector, Some(OPERATOR_KEY)).await;
        let items = told.1["items"].as_array().cloned().unwrap_or_default();
        let live = |item: &&Value| item["state"] == "live" && item["lag_records"] == 0;
        let is_level = items.iter().filter(live).count() == read_models::ALL.len();
        if is_level { Ok(()) } else { Err(items) }
    })
    .await;
    assert_eq!(projector.ready().await.0, 200);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_for_operators() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    assert_eq!(status(&projector, None).await.0, 401);
    eventually("the read models", WAIT_MAX, || async {
        let (status, _) = status(&projector, Some(OPERATOR_KEY)).await;
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;
    projector.end(rig).await;
}

async fn status(projector: &Projector, key: Option<&str>) -> (u16, Value) {
    let request = plain_http::client().get(format!("{}/v1/admin/status", projector.url));
    let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_waits_for_its_database() {
    let rig = Rig::start(1).await;
    Owner::claim(&rig.log, 0).await.commit(&[received("A", 1, 7)]);
    let name = format!("projector_{}", Uuid::now_v7().simple());
    let (own, _) = rig.url.rsplit_once('/').expect("a URL with a database");
    let projector = Projector::start(&format!("{own}/{name}"), &rig.log);
    projector.reports(503, "postgres").await;
    let servers = servers::shared().await.expect("servers");
    servers.create_database(&name).await.expect("a database");
    projector.reports(200, "").await;
    projector.stop().await;
    servers.remove_database(&name).await.expect("a database to remove");
    rig.end().await;
}
