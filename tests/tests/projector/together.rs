//! Projections that stand level share one transaction, and who does not keep up holds up no other.

use std::time::Duration;

use infra::postgres::{Listener, ListenerEvent, POSITIONS_CHANNEL};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use tests::proxy::{Mode, Proxy};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::{
    history::{Owner, product_created, received},
    rig::{Projector, Rig, WAIT_MAX},
};

/// What others may be behind at most because of one that does not keep up.
const LAG_MAX: Duration = Duration::from_secs(1);

/// The last receipt that is seen.
const SEEN: &str = "SELECT coalesce(max(revision), 0) FROM read.stock";

const IN_ONE_TRANSACTION: &str = "SELECT count(DISTINCT applied_at) FROM projection.checkpoints";

/// Nothing of them is in the tables, so they may well begin anew.
const CARTS_FROM_THE_START: &str = "UPDATE projection.checkpoints
    SET log_id = NULL, next_offset = 0, epoch = -1, claim = NULL, last_seq = 0
    WHERE projection = 'carts'";

/// With a projector that has made its tables, so that what comes is seen at once.
async fn started() -> (Rig, Owner, Projector) {
    let (rig, owner) = Rig::with_owner().await;
    let projector = rig.projector();
    rig.applied_to(0, 0).await;
    (rig, owner, projector)
}

/// A receipt and a product in one commit, again and again; each receipt must be seen in time.
async fn sell(rig: &Rig, owner: &mut Owner, revisions: std::ops::RangeInclusive<u64>) {
    for revision in revisions {
        let began = Instant::now();
        owner.commit(&[product_created(Uuid::now_v7(), "A"), received("A", revision, 1)]);
        let expected = i64::try_from(revision).expect("a small number");
        rig.becomes("the receipt to be seen", SEEN, expected).await;
        let lag = began.elapsed();
        assert!(lag < LAG_MAX, "revision {revision} was seen after {lag:?}");
    }
}

/// Waits until all go on in one transaction, with a commit now and then.
async fn are_together(rig: &Rig, owner: &mut Owner) {
    let began = Instant::now();
    loop {
        let end = owner.barrier();
        rig.applied_to(0, end).await;
        if rig.number(IN_ONE_TRANSACTION).await == 1 {
            return;
        }
        assert!(began.elapsed() < WAIT_MAX, "they are still apart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_stand_level_move_in_one_transaction() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    for revision in 1..=20 {
        let end = owner.commit(&[received("A", revision, 1)]);
        rig.applied_to(0, end).await;
        assert_eq!(rig.number(IN_ONE_TRANSACTION).await, 1);
    }
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_holds_up_its_projection_alone_which_comes_back() {
    let (rig, mut owner, projector) = started().await;
    sell(&rig, &mut owner, 1..=3).await;
    let held = rig.hold("LOCK TABLE products_v1.products IN ACCESS EXCLUSIVE MODE").await;
    sell(&rig, &mut owner, 4..=40).await;
    let behind = "SELECT count(*) FROM projection.checkpoints WHERE next_offset <
        (SELECT max(next_offset) FROM projection.checkpoints)";
    assert_eq!(rig.number(behind).await, 1, "the one whose table is locked");
    held.rollback().await.expect("an end");
    are_together(&rig, &mut owner).await;
    assert_eq!(rig.number("SELECT count(*) FROM products_v1.products").await, 40);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_fails_on_every_event_holds_up_no_other() {
    let (rig, mut owner, projector) = started().await;
    rig.sql("ALTER TABLE products_v1.products ADD CHECK (false)").await;
    sell(&rig, &mut owner, 1..=15).await;
    rig.applied().await;
    let parked = "SELECT count(*) FROM projection.parked_events";
    assert_eq!(rig.number(parked).await, 15);
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, 15);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_alone_tells_its_position_too() {
    let (rig, mut owner, projector) = started().await;
    sell(&rig, &mut owner, 1..=1).await;
    rig.sql("ALTER TABLE products_v1.products ADD CHECK (false) NOT VALID").await;
    let mut listener = Listener::new(rig.pool.clone(), POSITIONS_CHANNEL);
    assert_eq!(listener.next().await, ListenerEvent::Gap);
    let end = owner.commit(&[product_created(Uuid::now_v7(), "B")]);
    let told = async {
        loop {
            if let ListenerEvent::Payload(text) = listener.next().await {
                let told: Value = serde_json::from_str(&text).expect("JSON");
                if told["projection"] == "products" && told["next_offset"] == end {
                    return told;
                }
            }
        }
    };
    let told = timeout(WAIT_MAX, told).await.expect("a notification");
    assert_eq!(told["with"], json!([]));
    drop(listener);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_far_behind_at_the_start_goes_by_itself_until_it_is_level() {
    let (rig, mut owner, projector) = started().await;
    sell(&rig, &mut owner, 1..=3).await;
    projector.stop().await;
    rig.sql(CARTS_FROM_THE_START).await;
    let projector = rig.projector();
    sell(&rig, &mut owner, 4..=6).await;
    are_together(&rig, &mut owner).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_its_checkpoint_elsewhere_leaves_alone_and_goes_on_from_there() {
    let (rig, mut owner, projector) = started().await;
    sell(&rig, &mut owner, 1..=3).await;
    rig.sql(CARTS_FROM_THE_START).await;
    sell(&rig, &mut owner, 4..=6).await;
    are_together(&rig, &mut owner).await;
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, 6);
    assert_eq!(projector.ready().await.0, 200);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_dead_letters_were_changed_reloads_them_alone() {
    let (rig, mut owner, projector) = started().await;
    sell(&rig, &mut owner, 1..=3).await;
    let changed = "UPDATE projection.checkpoints SET letters = letters + 1
        WHERE projection = 'products'";
    rig.sql(changed).await;
    sell(&rig, &mut owner, 4..=6).await;
    are_together(&rig, &mut owner).await;
    assert_eq!(rig.number("SELECT count(*) FROM products_v1.products").await, 6);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_checkpoints_somebody_holds_says_so() {
    let (rig, mut owner, projector) = started().await;
    sell(&rig, &mut owner, 1..=1).await;
    let held = rig.hold("SELECT FROM projection.checkpoints FOR UPDATE").await;
    owner.commit(&[received("A", 2, 1)]);
    projector.reports(503, "PostgreSQL does not take batches").await;
    held.rollback().await.expect("an end");
    projector.reports(200, "").await;
    sell(&rig, &mut owner, 3..=4).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_counts_once() {
    let (rig, mut owner) = Rig::with_owner().await;
    let server: PgConnectOptions = rig.url.parse().expect("a URL");
    let proxy = Proxy::start(server.get_port()).await.expect("a proxy");
    let port = |port: u16| format!(":{port}/");
    let url = rig.url.replace(&port(server.get_port()), &port(proxy.port()));
    let projector = Projector::start(&url, &rig.log);
    rig.applied_to(0, 0).await;
    sell(&rig, &mut owner, 1..=1).await;
    // The commit takes long enough to cut off its answer.
    rig.sql(
        "CREATE FUNCTION stock_v1.slowly() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER slowly AFTER UPDATE ON stock_v1.stock
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.revision = 2)
            EXECUTE FUNCTION stock_v1.slowly()",
    )
    .await;
    owner.commit(&[received("A", 2, 1)]);
    let committing = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE '%COMMIT' AND wait_event = 'PgSleep'";
    rig.becomes("a commit that is under way", committing, 1).await;
    proxy.set(Mode::LoseAnswers);
    rig.becomes("the commit to be in", "SELECT on_hand FROM read.stock", 2).await;
    projector.reports(503, "PostgreSQL does not take batches").await;
    proxy.set(Mode::Pass);
    projector.reports(200, "").await;
    sell(&rig, &mut owner, 3..=6).await;
    are_together(&rig, &mut owner).await;
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, 6);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_just_written_is_kept_and_read_again_when_others_may_have_changed_it() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    let on_hand = || rig.number("SELECT on_hand FROM stock_v1.stock");
    // What nobody does but a test: so it shows whether the row was read.
    let by_hand = "UPDATE stock_v1.stock SET on_hand = 100";
    let end = owner.commit(&[received("A", 1, 7)]);
    rig.applied_to(0, end).await;
    rig.sql(by_hand).await;
    let end = owner.commit(&[received("A", 2, 1)]);
    rig.applied_to(0, end).await;
    assert_eq!(on_hand().await, 8, "the row was kept");

    rig.sql(by_hand).await;
    let changed = "UPDATE projection.checkpoints SET letters = letters + 1
        WHERE projection = 'stock'";
    rig.sql(changed).await;
    let end = owner.commit(&[received("A", 3, 1)]);
    rig.applied_to(0, end).await;
    assert_eq!(on_hand().await, 101, "operators may have changed the row");

    rig.cut_connections().await;
    rig.sql(by_hand).await;
    let end = owner.commit(&[received("A", 4, 1)]);
    rig.applied_to(0, end).await;
    projector.stop().await;
    rig.sql(by_hand).await;
    let projector = rig.projector();
    let end = owner.commit(&[received("A", 5, 1)]);
    rig.applied_to(0, end).await;
    assert_eq!(on_hand().await, 101, "another projector knows no rows");
    projector.end(rig).await;
}
