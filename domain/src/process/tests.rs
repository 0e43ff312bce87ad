use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{NOW, decide_twice, decides, event, fold, given, sample, uuid};

fn id(n: u128) -> StepId {
    StepId::new(uuid(n))
}

fn failure() -> Failure {
    Failure { code: "stream_unreadable".into(), detail: "it holds an event of the future".into() }
}

fn park(n: u128, attempt: u32) -> Command {
    park_with(n, attempt, sample::taken())
}

fn park_with(n: u128, attempt: u32, taken: Vec<Taken>) -> Command {
    let step = Box::new(sample::step());
    Command::Park { step_id: id(n), step, failure: failure(), attempt, taken }
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
    parked_with(n, attempt, &sample::taken())
}

fn parked_with(n: u128, attempt: u32, taken: &[Taken]) -> Event {
    let data = json!({
        "step_id": id(n), "step": sample::step(), "failure": failure(), "attempt": attempt,
        "parked_at": NOW, "taken": taken,
    });
    event::<Process>("step_parked", data)
}

fn retried(n: u128, attempt: u32) -> Event {
    let data = json!({ "step_id": id(n), "attempt": attempt, "by": "key:1" });
    event::<Process>("step_retried", data)
}

fn skipped(n: u128) -> Event {
    let data = json!({ "step_id": id(n), "reason": "nobody waits for it", "by": "key:1" });
    event::<Process>("step_skipped", data)
}

fn settled() -> Event {
    event::<Process>("event_settled", json!({ "event_id": sample::step().event_id }))
}

#[test]
fn a_step_is_parked_once_an_attempt_however_often_it_fails() {
    let tried_again = || vec![parked(1, 0), retried(1, 1)];
    decides::<Process>([
        ("first", vec![], park(1, 0), Ok(vec![parked(1, 0)])),
        ("once more", vec![parked(1, 0)], park(1, 0), Ok(vec![])),
        ("the next attempt", tried_again(), park(1, 1), Ok(vec![parked(1, 1)])),
        ("an earlier attempt", tried_again(), park(1, 0), Ok(vec![])),
    ]);
}

#[test]
fn retry_and_skip_need_a_parked_step() {
    let not_parked = |status| Err(Rejection::NotParked { status });
    let (has_skipped, has_retried) =
        (vec![parked(1, 0), skipped(1)], vec![parked(1, 0), retried(1, 1)]);
    decides::<Process>([
        ("retry", vec![parked(1, 0)], retry(1), Ok(vec![retried(1, 1)])),
        ("skip", vec![parked(1, 0)], skip(1), Ok(vec![skipped(1)])),
        ("retry, unknown", vec![], retry(1), Err(Rejection::NotFound)),
        ("skip, unknown", vec![], skip(1), Err(Rejection::NotFound)),
        ("retry, skipped", has_skipped, retry(1), not_parked(Status::Skipped)),
        ("skip, retried", has_retried, skip(1), not_parked(Status::Retried)),
    ]);
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
    let told = || park_with(1, 0, vec![later.clone()]);
    let knows_more = parked_with(1, 0, &[sample::taken(), vec![later.clone()]].concat());
    let at_a_later_time = Timestamp::from_micros(NOW.as_micros() + 1);
    given::<Process>([parked(1, 0)]).when(told(), at_a_later_time).then([knows_more.clone()]);
    given::<Process>([parked(1, 0), knows_more]).when(told(), NOW).then([]);
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
