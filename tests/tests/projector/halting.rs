//! What cannot be put aside halts one projection in one shard, loudly, and nothing is skipped.

use infra::log::memory::MemoryLog;
use projector::status::{State, Status};
use serde_json::json;
use stack::eventually::eventually;
use uuid::Uuid;

use crate::{
    exactly_once::sold,
    history::{Owner, product_created, product_published, received},
    rig::{PARKED_EVENTS_MAX, Projector, Rig, WAIT_MAX},
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
async fn too_many_events_that_do_not_fit_halt_their_projection_in_their_shard_alone() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 0).await;
    owners[0].commit(&[received("A", 1, 7)]);
    let projector = rig.projector();
    rig.applied_to(0, 2).await;
    for n in 0..=PARKED_EVENTS_MAX {
        let gap = product_published(Uuid::now_v7(), 3);
        owners[0].commit(&[gap, received("A", 2 + u64::try_from(n).expect("few"), 1)]);
    }
    owners[1].commit(&[product_created(Uuid::now_v7(), "B")]);
    halts(&rig, "beyond projector.parked_events_max = 20").await;
    eventually("the others to go on", WAIT_MAX, || async {
        let stock = rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await;
        let products = rig.number("SELECT count(*) FROM read.products").await;
        if (stock, products) == (28, 1) { Ok(()) } else { Err((stock, products)) }
    })
    .await;
    let halted = halted(&rig).await;
    assert_eq!(halted.len(), 1, "{halted:?}");
    assert_eq!((&*halted[0].0, halted[0].1), ("products", 0));
    let parked = rig.number("SELECT count(*) FROM projection.parked_events").await;
    assert!(parked <= 20, "{parked} events are parked");
    let (status, report) = projector.ready().await;
    assert_eq!(status, 503);
    assert_eq!(report["reasons"][0]["condition"], "products");
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_halted_goes_on_when_an_operator_says_so() {
    let (rig, mut owner) = Rig::with_owner().await;
    owner.commit(&[received("A", 1, 7)]);
    let projector = rig.projector();
    rig.applied().await;
    rig.sql("ALTER TABLE stock_v1.stock RENAME TO misplaced").await;
    owner.commit(&[received("A", 2, 1)]);
    halts(&rig, "stock_v1.stock").await;
    rig.sql("ALTER TABLE stock_v1.misplaced RENAME TO stock").await;
    let version = projector.act("stock", "resume", json!({})).await;
    assert_eq!(version["state"], "live", "{version}");
    rig.applied().await;
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, 8);
    assert_eq!(halted(&rig).await, []);
    assert_eq!(projector.ready().await.0, 200);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_halts_everything() {
    let (rig, mut owner) = Rig::with_owner().await;
    owner.commit(&[received("A", 1, 7)]);
    let projector = rig.projector();
    rig.applied().await;
    projector.stop().await;

    let anew = MemoryLog::new(1);
    let mut owner = Owner::claim(&anew, 0).await;
    owner.commit(&[received("A", 1, 100)]);
    owner.commit(&[received("A", 2, 100)]);
    let projector = Projector::start(&rig.url, &anew);
    halts(&rig, "restore the topic").await;
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, 7);
    assert_eq!(projector.ready().await.0, 503);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_postgresql_that_is_full_is_waited_for_and_nothing_is_parked() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    owner.commit(&[received("A", 1, 7)]);
    rig.applied().await;
    sqlx::raw_sql(
        "CREATE FUNCTION stock_v1.no_room() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON stock_v1.stock
            FOR EACH STATEMENT EXECUTE FUNCTION stock_v1.no_room()",
    )
    .execute(&rig.pool)
    .await
    .expect("a full disk");
    owner.commit(&[received("A", 2, 1), received("B", 1, 1)]);
    owner.commit(&[product_created(Uuid::now_v7(), "C")]);
    eventually("the others to go on, and a warning", WAIT_MAX, || async {
        let products = rig.number("SELECT count(*) FROM read.products").await;
        let (status, report) = projector.ready().await;
        let warned = report["reasons"][0]["condition"] == "postgres";
        if (products, status, warned) == (1, 503, true) { Ok(()) } else { Err(report) }
    })
    .await;
    assert_eq!(rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await, 7);
    rig.sql("DROP TRIGGER no_room ON stock_v1.stock").await;
    rig.applied().await;
    assert_eq!(rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await, 9);
    assert_eq!(rig.number("SELECT count(*) FROM projection.dead_letters").await, 0);
    assert_eq!(projector.ready().await.0, 200);
    projector.end(rig).await;
}
