//! What does not apply waits along with what follows on it, and nothing else does.

use serde_json::{Value, json};
use stack::eventually::eventually;
use uuid::Uuid;

use crate::{
    history::{Event, confirmed, placed, received, stock_reserved, unreadable},
    rig::{Projector, Rig, WAIT_MAX},
};

const PATH: &str = "dead-letters";

/// An order that no release can read: its total is a text.
pub(crate) fn poisoned(id: Uuid) -> Event {
    let mut told = placed(id);
    told.data["totals"]["total"]["amount"] = "five dollars".into();
    told
}

/// The letters in this state, once there are so many.
pub(crate) async fn letters(projector: &Projector, state: &str, count: usize) -> Vec<Value> {
    eventually("the dead letters", WAIT_MAX, || async {
        let (status, listing) = projector.get(&format!("{PATH}?state={state}")).await;
        let items = listing["items"].as_array().cloned().unwrap_or_default();
        if status == 200 && items.len() == count { Ok(items) } else { Err((status, listing)) }
    })
    .await
}

fn of<'l>(letters: &'l [Value], projection: &str) -> &'l Value {
    letters.iter().find(|letter| letter["projection"] == projection).expect("a letter")
}

fn act(letter: &Value, act: &str) -> String {
    format!("{PATH}/{}/{act}", letter["id"].as_str().expect("an id"))
}

/// What comes of it when a letter is settled so.
async fn settle(projector: &Projector, letter: &Value, how: &str, body: &Value) -> Value {
    let (status, answer) = projector.post(&act(letter, how), body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

pub(crate) async fn skip(projector: &Projector, letter: &Value) -> Value {
    settle(projector, letter, "skip", &json!({ "reason": "a test" })).await
}

/// The document of an order, without what tells it from another of the same events.
async fn order(rig: &Rig, id: Uuid) -> Option<Value> {
    let doc: Option<Value> = sqlx::query_scalar("SELECT doc FROM read.orders WHERE id = $1")
        .bind(id)
        .fetch_optional(&rig.pool)
        .await
        .expect("an answer");
    doc.map(|mut doc| {
        for entry in doc["timeline"].as_array_mut().expect("a timeline") {
            entry["at"].take();
        }
        doc
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_order_parks_that_order_only_and_edited_it_is_as_if_it_had_never_been() {
    let (rig, mut owner) = Rig::with_owner().await;
    let [bad, good] = [Uuid::now_v7(), Uuid::now_v7()];
    let projector = rig.projector();
    owner.commit(&[poisoned(bad), received("A", 1, 7)]);
    owner.commit(&[placed(good)]);
    owner.commit(&[stock_reserved(bad)]);
    owner.commit(&[stock_reserved(good)]);
    rig.applied().await;
    owner.commit(&[confirmed(bad)]);
    owner.commit(&[confirmed(good)]);
    rig.applied().await;
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, 7, "the same commit's stock");
    let expected = order(&rig, good).await.expect("the order that is well");
    assert_eq!(expected["status"], "confirmed");
    assert_eq!(order(&rig, bad).await, None);

    let parked = letters(&projector, "parked", 2).await;
    let letter = of(&parked, "orders");
    assert_eq!(letter["key"], format!("order/{bad}"));
    assert_eq!(letter["behind"], 2);
    assert_eq!(letter["event"]["type"], "tradewind.order.placed.v1");
    assert_eq!(letter["event"]["data"]["totals"]["total"]["amount"], "five dollars");
    assert!(letter["error"].as_str().expect("a text").contains("cannot be decoded"), "{letter}");

    let (status, answer) = projector.post(&act(letter, "retry"), &json!({})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("still_inapplicable")), "{answer}");
    let wrong = json!({ "data": { "lines": 7 }, "reason": "typo" });
    let (status, answer) = projector.post(&act(letter, "edit"), &wrong).await;
    assert_eq!((status, &answer["errors"][0]["pointer"]), (422, &json!("/data")), "{answer}");

    let edit = json!({ "data": placed(bad).data, "reason": "ticket 4711" });
    for projection in ["orders", "sales"] {
        let answer = settle(&projector, of(&parked, projection), "edit", &edit).await;
        assert_eq!(answer["settled_events"], 3, "{answer}");
        assert_eq!((&answer["state"], &answer["next"]), (&json!("edited"), &Value::Null));
    }
    assert_eq!(order(&rig, bad).await, Some(expected));
    assert_eq!(rig.number("SELECT sum(orders)::bigint FROM read.sales_totals").await, 2);

    let (_, detail) =
        projector.get(&format!("{PATH}/{}", letter["id"].as_str().expect("an id"))).await;
    let audit = detail["audit"].as_array().expect("an audit");
    assert_eq!(audit.iter().map(|entry| &entry["action"]).collect::<Vec<_>>(), ["edit", "retry"]);
    assert_eq!(audit[0]["reason"], "ticket 4711");
    assert!(audit[0]["actor"].as_str().expect("an actor").starts_with("key:"));
    assert_eq!(audit[0]["before"]["data"]["totals"]["total"]["amount"], "five dollars");
    assert_eq!(audit[0]["after"]["data"], placed(bad).data);
    letters(&projector, "parked", 0).await;
    let (status, answer) = projector.post(&act(letter, "retry"), &json!({})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("not_parked")));
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_reaches_the_version_that_stands_by() {
    let (rig, mut owner) = Rig::with_owner().await;
    let bad = Uuid::now_v7();
    let projector = rig.projector();
    owner.commit(&[placed(Uuid::now_v7())]);
    rig.applied().await;
    projector.act("orders", "rebuild", json!({ "switch": true })).await;
    projector.settled("orders", 2, "live").await;
    owner.commit(&[poisoned(bad)]);
    let parked = letters(&projector, "parked", 3).await;
    let is_live = |it: &&Value| it["projection"] == "orders" && it["version"] == 2;
    let live = parked.iter().find(is_live).expect("the live version's letter");
    let edit = json!({ "data": placed(bad).data, "reason": "ticket 4711" });
    settle(&projector, live, "edit", &edit).await;
    assert_eq!(letters(&projector, "parked", 1).await[0]["projection"], "sales");
    let shown = order(&rig, bad).await;
    assert!(shown.is_some());
    projector.act("orders", "rollback", json!({})).await;
    assert_eq!(order(&rig, bad).await, shown);
    projector.end(rig).await;
}

/// A build makes its indexes last, long after the row that one of them refuses.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_an_index_refuses_a_build_parks_like_the_live_version() {
    let (rig, mut owner) = Rig::with_owner().await;
    let [long, good] = [Uuid::now_v7(), Uuid::now_v7()];
    let mut told = placed(long);
    // What is alike is compressed, and would fit.
    let reference: String = (0..500).map(|_| Uuid::new_v4().simple().to_string()).collect();
    told.data["customer_reference"] = reference.into();
    owner.commit(&[told]);
    owner.commit(&[placed(good)]);
    owner.commit(&[stock_reserved(long)]);
    owner.commit(&[stock_reserved(good)]);
    let projector = rig.projector();
    rig.applied().await;
    let parked = letters(&projector, "parked", 1).await;
    assert_eq!(parked[0]["behind"], 1, "{parked:?}");

    projector.act("orders", "rebuild", json!({ "verify": true })).await;
    let built = projector.settled("orders", 2, "standby").await;
    assert_eq!(built["problem"], Value::Null, "{built}");
    let parked = letters(&projector, "parked", 2).await;
    let its = parked.iter().find(|letter| letter["version"] == 2).expect("the build's letter");
    assert_eq!((&its["key"], &its["behind"]), (&json!(format!("order/{long}")), &json!(1)));
    assert_eq!(rig.number("SELECT count(*) FROM orders_v2.orders").await, 1);
    let indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'orders_v2'";
    assert_eq!(rig.number(indexes).await, 4);
    projector.proves("orders", json!({ "version": 2 })).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_has_parked_what_readers_see_is_not_switched_to_by_itself() {
    let (rig, mut owner) = Rig::with_owner().await;
    let bad = Uuid::now_v7();
    let projector = rig.projector();
    owner.commit(&[poisoned(bad)]);
    let parked = letters(&projector, "parked", 2).await;
    let edit = json!({ "data": placed(bad).data, "reason": "ticket 4711" });
    settle(&projector, of(&parked, "orders"), "edit", &edit).await;
    assert!(order(&rig, bad).await.is_some());
    // As if only the code of the live version could read it.
    rig.sql("DELETE FROM projection.corrections").await;
    projector.act("orders", "rebuild", json!({ "switch": true })).await;
    let letter = eventually("the new version's letter", WAIT_MAX, || async {
        let parked = letters(&projector, "parked", 2).await;
        parked.into_iter().find(|it| it["projection"] == "orders").ok_or("none")
    })
    .await;
    eventually("the reason why it is not switched to", WAIT_MAX, || async {
        let problem = projector.problem("orders", 2).await;
        if problem.starts_with("1 keys are parked") { Ok(()) } else { Err(problem) }
    })
    .await;
    assert!(order(&rig, bad).await.is_some(), "readers still see it");
    settle(&projector, &letter, "edit", &edit).await;
    projector.act("orders", "resume", json!({})).await;
    projector.settled("orders", 2, "live").await;
    assert!(order(&rig, bad).await.is_some());
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_refuses_is_pinned_on_its_key_within_a_batch() {
    let (rig, mut owner) = Rig::with_owner().await;
    let good: Vec<Uuid> = (0..200).map(|_| Uuid::now_v7()).collect();
    let [nul, long] = [Uuid::now_v7(), Uuid::now_v7()];
    for (n, id) in good.iter().enumerate() {
        owner.commit(&[placed(*id)]);
        let bad = match n {
            // No text of PostgreSQL holds a NUL.
            70 => Some((nul, "a\0b".to_owned())),
            // Too long for an entry of an index, and random, or it would be compressed.
            140 => Some((long, (0..400).map(|_| Uuid::new_v4().to_string()).collect())),
            _ => None,
        };
        if let Some((id, reference)) = bad {
            let mut told = placed(id);
            told.data["customer_reference"] = reference.into();
            owner.commit(&[told]);
            owner.commit(&[stock_reserved(id)]);
        }
    }
    for id in &good {
        owner.commit(&[stock_reserved(*id)]);
        owner.commit(&[confirmed(*id)]);
    }
    let projector = rig.projector();
    rig.applied().await;
    let shown = "SELECT count(*) FROM read.orders WHERE status = 'confirmed' AND revision = 3";
    assert_eq!(rig.number(shown).await, 200);
    assert_eq!(rig.number("SELECT count(*) FROM read.orders").await, 200);
    // The journal keeps texts of any length, and no NUL either.
    let (kept, parked): (Vec<_>, Vec<_>) = letters(&projector, "parked", 3)
        .await
        .into_iter()
        .partition(|letter| letter["projection"] == "journal");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["key"], format!("order/{nul}"));
    for letter in &parked {
        assert_eq!((&letter["projection"], &letter["behind"]), (&json!("orders"), &json!(1)));
        let error = letter["error"].as_str().expect("a text");
        assert!(error.contains("PostgreSQL does not take"), "{error}");
    }
    // It begins anew with what is parked, and skips what it is told to.
    projector.stop().await;
    let projector = rig.projector();
    let letter = parked.iter().find(|letter| letter["key"] == format!("order/{long}"));
    let edit = json!({ "data": placed(long).data, "reason": "cut the reference" });
    let answer = settle(&projector, letter.expect("its letter"), "edit", &edit).await;
    assert_eq!(answer["settled_events"], 2, "{answer}");
    owner.commit(&[confirmed(long)]);
    owner.commit(&[confirmed(nul)]);
    rig.applied().await;
    assert_eq!(rig.number(shown).await, 201);
    let parked = letters(&projector, "parked", 2).await;
    assert!(parked.iter().all(|letter| letter["behind"] == 2), "{parked:?}");
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_event_is_passed_over_and_a_later_one_that_does_not_apply_is_a_letter_itself() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    owner.commit(&[received("A", 1, 7)]);
    owner.commit(&[unreadable("A", 2)]);
    owner.commit(&[received("A", 3, 1)]);
    owner.commit(&[unreadable("A", 4)]);
    owner.commit(&[received("A", 5, 1)]);
    rig.applied().await;
    let on_hand = || rig.number("SELECT on_hand FROM read.stock");
    assert_eq!(on_hand().await, 7);
    let first = letters(&projector, "parked", 1).await.remove(0);
    let (status, answer) = projector.post(&act(&first, "skip"), &json!({})).await;
    assert_eq!((status, &answer["errors"][0]["pointer"]), (422, &json!("/reason")), "{answer}");
    let answer = skip(&projector, &first).await;
    assert_eq!(answer["settled_events"], 2, "{answer}");
    assert_eq!(on_hand().await, 8);

    let second = letters(&projector, "parked", 1).await.remove(0);
    assert_eq!(answer["next"], second["id"]);
    assert_eq!((&second["event"]["revision"], &second["behind"]), (&json!(4), &json!(1)));
    assert_eq!(skip(&projector, &second).await["next"], Value::Null);
    assert_eq!(on_hand().await, 9);
    owner.commit(&[received("A", 6, 1)]);
    rig.applied().await;
    assert_eq!(on_hand().await, 10);
    assert_eq!(letters(&projector, "skipped", 2).await.len(), 2);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_while_a_key_is_retried_are_neither_lost_nor_put_before_others() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    let mut sold = 0;
    for round in 0..20 {
        let revision = round * 16 + 1;
        owner.commit(&[unreadable("A", revision)]);
        let more = revision + 1..=revision + 15;
        let (before, after) = (more.clone().take(5), more.skip(5));
        for revision in before {
            owner.commit(&[received("A", revision, 1)]);
        }
        let letter = letters(&projector, "parked", 1).await.remove(0);
        for revision in after {
            owner.commit(&[received("A", revision, 1)]);
        }
        skip(&projector, &letter).await;
        sold += 15;
        if round == 10 {
            rig.cut_connections().await;
        }
    }
    rig.applied().await;
    assert_eq!(rig.number("SELECT on_hand FROM read.stock").await, sold);
    assert_eq!(rig.number("SELECT revision FROM read.stock").await, 320);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_has_no_room_left_goes_on_when_an_operator_has_made_some() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    owner.commit(&[unreadable("A", 1)]);
    for revision in 2..=20 {
        owner.commit(&[received("A", revision, 1)]);
    }
    rig.applied().await;
    let letter = letters(&projector, "parked", 1).await.remove(0);
    assert_eq!(letter["behind"], 19);
    for revision in 21..=25 {
        owner.commit(&[received("A", revision, 1), received("B", revision - 20, 1)]);
    }
    projector.reports(503, "parked_events_max").await;
    skip(&projector, &letter).await;
    rig.applied().await;
    assert_eq!(rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await, 29);
    projector.reports(200, "").await;
    projector.end(rig).await;
}
