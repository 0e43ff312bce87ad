//! Each auditor is silent on a sound run and speaks up when one thing in it is wrong.

use std::collections::BTreeMap;

use domain::testing::golden;
use serde_json::json;
use uuid::Uuid;

use super::fold::Fold;
use super::{answers, models, refusals};
use crate::audit::{Commit, Kind, Observer, Outcome, Record};
use crate::faults::action::Action;
use crate::faults::history::{Answer, Command, Micros, Read, Seen};

const SHARD: u32 = 2;

/// A stock receives 5 units, gives 3 away, refuses to give 4 away and a condition that is not met:
/// one command after the other, at times 0, 100, 200 and 300, each for 50 µs.
struct Run {
    commits: Vec<Commit>,
    commands: Vec<Command>,
    reads: Vec<Read>,
}

impl Run {
    fn sound() -> Self {
        let receive = Action::Receive { sku: "tea".to_owned(), quantity: 5 };
        let adjust = |delta| Action::Adjust { sku: "tea".to_owned(), delta };
        let mut commands = vec![
            command(0, receive.clone(), 200, ""),
            command(1, adjust(-3), 200, ""),
            command(2, adjust(-4), 422, "stock.insufficient"),
            command(3, receive, 412, "precondition_failed"),
        ];
        commands[3].if_match = Some(1);
        answer(&mut commands[2]).detail = "only 2 available, the rest is reserved".to_owned();
        let commits = vec![
            event(1, "tradewind.stock.received.v1", json!({"quantity": 5})),
            event(2, "tradewind.stock.adjusted.v1", json!({"delta": -3})),
            barrier(3, 422),
            barrier(4, 412),
        ];
        let seen = Seen::from([(SHARD, 3)]);
        let read = Read {
            client: 0,
            sku: "tea".to_owned(),
            began: 180,
            asked: seen.clone(),
            seen,
            revision: 2,
            on_hand: 2,
            reserved: 0,
        };
        Self { commits, commands, reads: vec![read] }
    }

    fn violations(&self) -> Vec<String> {
        let mut fold = Fold::default();
        self.commits.iter().for_each(|commit| fold.observe(commit));
        let mut violations = vec![];
        answers::check(&self.commands, &fold, &mut violations);
        refusals::check(&self.commands, &fold, &mut violations);
        answers::check_reads(&self.reads, &fold, &mut violations);
        violations
    }
}

/// The command with this number, whose record has this number as well.
fn command(number: u64, action: Action, status: u16, code: &str) -> Command {
    let offset = i64::try_from(number).unwrap() + 2;
    let is_event = status == 200;
    let answer = Answer {
        at: number * 100 + 50,
        node: 1,
        status,
        code: code.to_owned(),
        revision: if is_event { number + 1 } else { 0 },
        events: if is_event { vec![format!("event-{offset}")] } else { vec![] },
        seen: Seen::from([(SHARD, offset)]),
        ..Answer::default()
    };
    Command {
        client: 0,
        key: format!("key-{number}"),
        command_id: id(offset),
        action,
        if_match: None,
        began: number * 100,
        tries: 1,
        answer: Some(answer),
    }
}

fn answer(command: &mut Command) -> &mut Answer {
    command.answer.as_mut().unwrap()
}

fn id(next_offset: i64) -> Uuid {
    Uuid::from_u128(next_offset.try_into().unwrap())
}

fn event(offset: i64, event_type: &str, value: serde_json::Value) -> Commit {
    let next_offset = offset + 1;
    let revision = offset.try_into().unwrap();
    let record = Record {
        id: format!("event-{next_offset}"),
        event_type: event_type.to_owned(),
        command_id: id(next_offset).to_string(),
        value,
        revision,
        ..Record::bare(Kind::Event, "stock/tea")
    };
    Commit { partition: 2, next_offset, records: vec![record] }
}

/// What the fold passes over it would not find missing either.
#[test]
fn every_stored_shape_of_every_event_is_one_that_the_fold_knows() {
    let mut fold = Fold::default();
    for golden in golden::all() {
        let value = serde_json::from_str(&golden.data).unwrap();
        let key = format!("{}/1", golden.stream_type.as_str());
        let mut commit = event(1, &golden.event_type(), value);
        commit.records[0].key = key;
        fold.observe(&commit);
    }
    let unknown = fold.faults.iter().filter(|fault| fault.contains("an event of type"));
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&String>::new());
}

fn barrier(offset: i64, status: u64) -> Commit {
    let next_offset = offset + 1;
    let outcomes = vec![Outcome { command_id: id(next_offset).to_string(), status }];
    let record = Record { outcomes, ..Record::bare(Kind::Barrier, "barrier") };
    Commit { partition: 2, next_offset, records: vec![record] }
}

/// The one thing that is wrong is found, in these words.
#[track_caller]
fn check(spoil: impl FnOnce(&mut Run), expected: &str) {
    let mut run = Run::sound();
    spoil(&mut run);
    let violations = run.violations();
    assert!(violations.iter().any(|it| it.contains(expected)), "{violations:#?}");
}

#[test]
fn a_sound_run_has_no_violation() {
    assert_eq!(Run::sound().violations(), Vec::<String>::new());
}

#[test]
fn an_answer_that_the_log_does_not_bear_out_is_found() {
    check(|run| run.commands[3].answer = None, "not answered");
    check(|run| drop(run.commits.remove(1)), "answered, and not in the log");
    check(|run| answer(&mut run.commands[0]).events.clear(), "other events");
    check(|run| answer(&mut run.commands[1]).revision = 3, "other events");
    check(|run| answer(&mut run.commands[2]).status = 409, "no sound system gives");
    check(|run| run.commits[2] = barrier(3, 409), "another status");
    check(|run| answer(&mut run.commands[0]).seen = Seen::from([(SHARD, 9)]), "another position");
    check(|run| run.commands[1].if_match = Some(7), "a condition was not met");
}

#[test]
fn a_log_that_contradicts_the_clock_is_found() {
    check(|run| answer(&mut run.commands[3]).at = 40, "comes after it");
    let set = |run: &mut Run, began: Micros| run.commands[1].began = began;
    check(|run| set(run, 400), "comes after it");
}

#[test]
fn a_refusal_without_a_reason_is_found() {
    let detail = "only 1 available, the rest is reserved".to_owned();
    check(|run| answer(&mut run.commands[2]).detail = detail, "no state justifies");
    let adjust = Action::Adjust { sku: "tea".to_owned(), delta: -2 };
    check(|run| run.commands[2].action = adjust, "no state justifies");
    check(|run| run.commands[3].if_match = Some(2), "no state justifies");
    // Five were there, but somebody knew better before the command began.
    let adjust = Action::Adjust { sku: "tea".to_owned(), delta: -6 };
    let detail = "only 5 available, the rest is reserved";
    check(
        |run| {
            run.commands[2].action = adjust;
            answer(&mut run.commands[2]).detail = detail.to_owned();
        },
        "no state justifies",
    );
}

#[test]
fn a_look_at_what_never_was_is_found() {
    check(|run| run.reads[0].on_hand = 5, "the log has");
    check(|run| run.reads[0].revision = 9, "a revision that is not in the log");
    check(|run| run.reads[0].asked = Seen::from([(SHARD, 4)]), "what was asked for");
    check(
        |run| {
            (run.reads[0].revision, run.reads[0].on_hand) = (1, 5);
        },
        "the position is beyond",
    );
    check(
        |run| {
            let mut later = run.reads[0].clone();
            (later.began, later.asked) = (900, Seen::new());
            (later.seen, later.revision, later.on_hand) = (Seen::from([(SHARD, 2)]), 1, 5);
            run.reads.push(later);
        },
        "what was seen before",
    );
}

#[test]
fn a_stock_that_promises_too_much_is_found() {
    let reserved = event(2, "tradewind.stock.reserved.v1", json!({"quantity": 6}));
    check(|run| run.commits[1] = reserved, "more is promised than is there");
}

#[test]
fn a_model_that_differs_is_found() {
    let log = BTreeMap::from([("a", 1), ("b", 2)]);
    let violations = |model: &[(&'static str, i32)]| {
        let mut violations = vec![];
        models::compare("row", &log, &model.iter().copied().collect(), &mut violations);
        violations.len()
    };
    assert_eq!(violations(&[("a", 1), ("b", 2)]), 0);
    assert_eq!(violations(&[("a", 1)]), 1);
    assert_eq!(violations(&[("a", 1), ("b", 3)]), 1);
    assert_eq!(violations(&[("a", 1), ("b", 2), ("c", 3)]), 1);
}
