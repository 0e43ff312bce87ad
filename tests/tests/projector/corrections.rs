//! What operators decided about events, where rebuilds and time come to it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    dead_letters::{letters, poisoned, skip},
    exactly_once::sell,
    history::{Owner, placed, received, unreadable},
    rig::{DEAD_LETTERS_KEPT_DAYS, Projector, Rig},
};

/// Receipts of which no release can read the second one.
fn spoil(owner: &mut Owner) {
    owner.commit(&[received("A", 1, 7)]);
    owner.commit(&[unreadable("A", 2)]);
    owner.commit(&[received("A", 3, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_forgets_what_was_corrected_only_if_it_is_told_to() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    spoil(&mut owner);
    skip(&projector, &letters(&projector, "parked", 1).await[0]).await;

    projector.act("stock", "rebuild", json!({ "verify": true })).await;
    projector.settled("stock", 2, "standby").await;
    assert_eq!(rig.number("SELECT on_hand FROM stock_v2.stock").await, 8);

    projector.act("stock", "rebuild", json!({ "forget_corrections": true })).await;
    projector.settled("stock", 3, "standby").await;
    assert_eq!(rig.number("SELECT on_hand FROM stock_v3.stock").await, 7);
    let parked = letters(&projector, "parked", 1).await;
    assert_eq!((&parked[0]["version"], &parked[0]["behind"]), (&json!(3), &json!(1)));
    projector.proves("stock", json!({ "version": 3 })).await;
    // What is decided from then on holds for it, too.
    skip(&projector, &parked[0]).await;
    assert_eq!(rig.number("SELECT on_hand FROM stock_v3.stock").await, 8);
    for version in 1..=3 {
        let version = projector.version("stock", version).await;
        assert_eq!(version["problem"], Value::Null, "all of them have skipped it: {version}");
    }
    projector.proves("stock", json!({ "version": 3 })).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_had_applied_what_is_corrected_says_that_it_is_to_be_built_anew() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    projector.act("orders", "rebuild", json!({})).await;
    projector.settled("orders", 2, "standby").await;
    // As if its code could do more: what one version refuses the other takes.
    rig.sql("ALTER TABLE orders_v1.orders ADD CHECK (status <> 'pending')").await;
    owner.commit(&[placed(Uuid::now_v7())]);
    let letter = letters(&projector, "parked", 1).await.remove(0);
    assert_eq!((&letter["projection"], &letter["version"]), (&json!("orders"), &json!(1)));
    rig.becomes("the other version to take it", "SELECT count(*) FROM orders_v2.orders", 1).await;
    skip(&projector, &letter).await;
    let problem = projector.problem("orders", 2).await;
    assert!(problem.ends_with("after this version had applied it: build it anew"), "{problem}");
    assert!(problem.contains("was skipped"), "{problem}");
    assert_eq!(projector.version("orders", 1).await["problem"], Value::Null);
    // It is as the problem says.
    let verified = projector.verify("orders", json!({ "version": 2 })).await;
    assert_eq!(verified["state"], "different", "{verified}");
    projector.end(rig).await;
}

/// The log holds 6,000 records after the poison: at the rate of the build, more than a second of them.
async fn poisoned_build(rig: &Rig) -> Projector {
    let mut owner = Owner::claim(&rig.log, 0).await;
    owner.commit(&[poisoned(Uuid::now_v7())]);
    sell(&mut owner, 0, 1..=2_000);
    let projector = rig.projector();
    projector.act("orders", "rebuild", json!({ "throttle": 4_000 })).await;
    let copied = "SELECT next_offset FROM projection.checkpoints JOIN projection.dead_letters
            USING (projection, version, shard)
         WHERE projection = 'orders' AND version = 2 AND copying AND state = 'parked'
         UNION ALL SELECT 0 ORDER BY 1 DESC LIMIT 1";
    rig.finds("the bulk copy to go on after the poison", copied, |at| at > 1_000).await;
    projector
}

async fn check_poisoned_build(rig: Rig, projector: Projector) {
    projector.settled("orders", 2, "standby").await;
    let letters = "SELECT count(*) FROM projection.dead_letters
        WHERE projection = 'orders' AND version = 2 AND state = 'parked'";
    let waiting =
        "SELECT count(*) FROM projection.parked_events WHERE projection = 'orders' AND version = 2";
    assert_eq!((rig.number(letters).await, rig.number(waiting).await), (1, 1));
    projector.proves("orders", json!({ "version": 2 })).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_apply_is_parked_by_the_bulk_copy_which_goes_on() {
    let rig = Rig::start(1).await;
    let projector = poisoned_build(&rig).await;
    check_poisoned_build(rig, projector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_a_crash_has_emptied_parks_anew() {
    let rig = Rig::start(1).await;
    let projector = poisoned_build(&rig).await;
    rig.sql("TRUNCATE orders_v2.orders, orders_v2.building").await;
    check_poisoned_build(rig, projector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_long_ago_is_forgotten_and_what_was_decided_is_not() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    spoil(&mut owner);
    owner.commit(&[poisoned(Uuid::now_v7())]);
    let parked = letters(&projector, "parked", 3).await;
    skip(&projector, parked.iter().find(|it| it["projection"] == "stock").expect("a letter")).await;
    projector.stop().await;
    let aged = |days: i32| {
        let age =
            "UPDATE projection.dead_letters SET parked_at = now() - make_interval(days => $1),
                settled_at = settled_at - make_interval(days => $1)";
        sqlx::query(age).bind(days).execute(&rig.pool)
    };
    aged(DEAD_LETTERS_KEPT_DAYS - 1).await.expect("days that pass");
    let projector = rig.projector();
    rig.applied().await;
    assert_eq!(letters(&projector, "skipped", 1).await.len(), 1);
    projector.stop().await;

    aged(2).await.expect("days that pass");
    let projector = rig.projector();
    letters(&projector, "skipped", 0).await;
    // What waits is never too old.
    letters(&projector, "parked", 2).await;
    assert_eq!(rig.number("SELECT count(*) FROM projection.dead_letter_audit").await, 0);
    assert_eq!(rig.number("SELECT count(*) FROM projection.corrections").await, 1);
    projector.end(rig).await;
}
