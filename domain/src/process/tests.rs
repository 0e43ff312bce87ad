use proptest::prelude::*;

use super::*;
use crate::{
    id::{EventId, StepId},
    testing::{NOW, decide_twice, fold, given, sample, uuid},
    timestamp::Timestamp,
};

fn id(n: u128) -> StepId {
    StepId::new(uuid(n))
}

fn failure() -> Failure {
    Failure { code: "stream_unreadable".into(), detail: "it holds an event of the future".into() }
}

fn park(n: u128, attempt: u32) -> Command {
    let step = Box::new(sample::step());
    Command::Park { step_id: id(n), step, failure: failure(), attempt, taken: sample::taken() }
}

fn retry(n: u128) -> Command {
    Command::Retry { step_id: id(n), by: "key:1".into() }
}

fn skip(n: u128) -> Command {
    Command::Skip { step_id: id(n), reason: "nobody waits for it".into(), by: "key:1".into() }
}

fn settle() -> Command {
    Command::Settle { event_id: sample::step().event_id }
}

fn parked(n: u128, attempt: u32) -> Event {
    let step = Box::new(sample::step());
    let (failure, taken) = (failure(), sample::taken());
    Event::StepParked { step_id: id(n), step, failure, attempt, parked_at: NOW, taken }
}

fn retried(n: u128, attempt: u32) -> Event {
    Event::StepRetried { step_id: id(n), attempt, by: "key:1".into() }
}

fn skipped(n: u128) -> Event {
    Event::StepSkipped { step_id: id(n), reason: "nobody waits for it".into(), by: "key:1".into() }
}

fn settled() -> Event {
    Event::EventSettled { event_id: sample::step().event_id }
}

#[test]
fn a_step_is_parked_once_however_often_it_fails() {
    given::<Process>([]).when(park(1, 0), NOW).then([parked(1, 0)]);
    given::<Process>([parked(1, 0)]).when(park(1, 0), NOW).then([]);
}

#[test]
fn a_retried_step_that_fails_again_is_parked_again() {
    let history = [parked(1, 0), retried(1, 1)];
    given::<Process>(history.clone()).when(park(1, 1), NOW).then([parked(1, 1)]);
    given::<Process>(history).when(park(1, 0), NOW).then([]);
}

#[test]
fn retry_and_skip_need_a_parked_step() {
    given::<Process>([parked(1, 0)]).when(retry(1), NOW).then([retried(1, 1)]);
    given::<Process>([parked(1, 0)]).when(skip(1), NOW).then([skipped(1)]);
    given::<Process>([]).when(retry(1), NOW).then_rejected(Rejection::NotFound);
    given::<Process>([]).when(skip(1), NOW).then_rejected(Rejection::NotFound);
    given::<Process>([parked(1, 0), skipped(1)])
        .when(retry(1), NOW)
        .then_rejected(Rejection::NotParked { status: Status::Skipped });
    given::<Process>([parked(1, 0), retried(1, 1)])
        .when(skip(1), NOW)
        .then_rejected(Rejection::NotParked { status: Status::Retried });
}

#[test]
fn an_event_that_is_done_with_leaves_nothing_behind() {
    let history = [parked(1, 0), parked(2, 0), skipped(1), retried(2, 1)];
    given::<Process>(history.clone()).when(settle(), NOW).then([settled()]);
    given::<Process>([]).when(settle(), NOW).then([]);
    let process: Process = fold(history.into_iter().chain([settled()]));
    assert!(process.steps().is_empty());
    let event_id = sample::step().event_id;
    assert_eq!(process.decided(event_id).count(), 2, "it may be delivered again");
    let other = EventId::new(uuid(77));
    given::<Process>([parked(1, 0)]).when(Command::Settle { event_id: other }, NOW).then([]);
}

#[test]
fn what_has_become_of_the_other_steps_is_known_until_the_event_is_done_with() {
    let event_id = sample::step().event_id;
    let taken = |process: &Process| -> Vec<Taken> {
        process.decided(event_id).flat_map(|(_, parked)| parked.taken.clone()).collect()
    };
    let retried: Process = fold([parked(1, 0), retried(1, 1)]);
    assert_eq!(taken(&retried), sample::taken());
    let settled: Process = fold([parked(1, 0), skipped(1), settled()]);
    assert_eq!(taken(&settled), []);
}

#[test]
fn a_step_that_waits_learns_what_becomes_of_the_others() {
    let later = Taken { step_id: id(50), refused: None };
    let told = |taken: Vec<Taken>| {
        let Command::Park { step_id, step, failure, attempt, .. } = park(1, 0) else {
            unreachable!("it is one")
        };
        Command::Park { step_id, step, failure, attempt, taken }
    };
    let mut all = sample::taken();
    all.push(later.clone());
    let Event::StepParked { step_id, step, failure, attempt, parked_at, .. } = parked(1, 0) else {
        unreachable!("it is one")
    };
    let knows_more = Event::StepParked { step_id, step, failure, attempt, parked_at, taken: all };
    let at_a_later_time = Timestamp::from_micros(NOW.as_micros() + 1);
    given::<Process>([parked(1, 0)])
        .when(told(vec![later.clone()]), at_a_later_time)
        .then([knows_more.clone()]);
    given::<Process>([parked(1, 0), knows_more]).when(told(vec![later]), NOW).then([]);
}

#[test]
fn what_is_told_late_of_an_event_that_is_done_with_brings_nothing_back() {
    let tried_again = [parked(1, 0), retried(1, 1), settled()];
    given::<Process>(tried_again.clone()).when(park(1, 0), NOW).then([]);
    given::<Process>(tried_again).when(park(1, 1), NOW).then([parked(1, 1)]);
    given::<Process>([parked(1, 0), skipped(1), settled()]).when(park(1, 0), NOW).then([]);
}

#[test]
fn no_more_is_parked_than_there_is_room_for() {
    let full = (10..).take(OPEN_MAX).map(|n| parked(n, 0));
    given::<Process>(full).when(park(1, 0), NOW).then_rejected(Rejection::Full);
}

proptest! {
    #[test]
    fn deciding_twice_yields_nothing(
        commands in prop::collection::vec(prop_oneof![
            (1..4_u128, 0..3_u32).prop_map(|(n, attempt)| park(n, attempt)),
            (1..4_u128).prop_map(retry),
            (1..4_u128).prop_map(skip),
            Just(settle()),
        ], 0..30),
    ) {
        let steps = commands.into_iter().map(|command| (command, NOW));
        decide_twice::<Process>(steps, |_| false, |_| {});
    }
}
