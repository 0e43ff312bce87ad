//! What does not fit halts one projection in one shard, loudly, and nothing is skipped.

use infra::log::memory::MemoryLog;
use projector::status::{State, Status};
use serde_json::json;
use tests::eventually::eventually;
use uuid::Uuid;

use crate::{
    history::{Owner, Told, product_created, product_published, received},
    rig::{Projector, Rig, WAIT_MAX},
};

async fn halted(rig: &Rig) -> Vec<(String, i32, String)> {
    let items = Status::read(&rig.pool).await.expect("a status").items;
    let halted = items.into_iter().filter(|item| item.state == State::Halted);
    halted.map(|item| (item.projection, item.shard, item.reason.unwrap_or_default())).collect()
}

async fn halts(rig: &Rig, reason: &str) {
    eventually("a halt", WAIT_MAX, || async {
        let halted = halted(rig).await;
        let told = halted.iter().any(|(.., why)| why.contains(reason));
        if told { Ok(()) } else { Err(halted) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_fit_halts_its_projection_in_its_shard_alone() {
    let rig = Rig::start(2).await;
    let mut owners = [Owner::claim(&rig.log, 0), Owner::claim(&rig.log, 1)];
    let id = Uuid::now_v7();
    owners[0].commit(&[product_created(id, "A"), received("A", 1, 7)]);
    let gap = owners[0].commit(&[product_published(id, 3), received("A", 2, 1)]);
    owners[0].commit(&[received("A", 3, 1)]);
    owners[1].commit(&[product_created(Uuid::now_v7(), "B")]);
    let projector = rig.projector();
    halts(&rig, "revision 3 follows on revision 1").await;
    eventually("the others to go on", WAIT_MAX, || async {
        let stock = rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await;
        let products = rig.number("SELECT count(*) FROM read.products").await;
        if (stock, products) == (9, 2) { Ok(()) } else { Err((stock, products)) }
    })
    .await;
    let halted = halted(&rig).await;
    assert_eq!(halted.len(), 1, "{halted:?}");
    assert_eq!((&*halted[0].0, halted[0].1), ("products", 0));
    let stands = rig.number(
        "SELECT next_offset FROM read.positions WHERE projection = 'products' AND shard = 0",
    );
    assert!(stands.await < gap, "the commit before it is in, the one that does not fit is not");
    let (status, report) = projector.ready().await;
    assert_eq!(status, 503);
    assert_eq!(report["reasons"][0]["condition"], "products");
    projector.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_decoded_halts_as_well() {
    let rig = Rig::start(1).await;
    let mut owner = Owner::claim(&rig.log, 0);
    let data = json!({ "quantity": "many" });
    owner.commit(&[Told { stream: "stock/A".to_owned(), revision: 1, kind: "received", data }]);
    let projector = rig.projector();
    halts(&rig, "cannot be decoded").await;
    assert_eq!(halted(&rig).await.len(), 1);
    projector.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_halts_everything() {
    let rig = Rig::start(1).await;
    let mut owner = Owner::claim(&rig.log, 0);
    owner.commit(&[received("A", 1, 7)]);
    let projector = rig.projector();
    rig.applied().await;
    projector.stop().await;

    let anew = MemoryLog::new(1);
    let mut owner = Owner::claim(&anew, 0);
    owner.commit(&[received("A", 1, 100)]);
    owner.commit(&[received("A", 2, 100)]);
    let projector = Projector::start(&rig.url, &anew);
    halts(&rig, "restore the topic").await;
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, 7);
    assert_eq!(projector.ready().await.0, 503);
    projector.stop().await;
    rig.end().await;
}
