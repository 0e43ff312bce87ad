use super::{model, *};
use crate::log::{OutcomeRecord, RequestHash, sample};

const A: Nonce = Nonce(0xa);
const B: Nonce = Nonce(0xb);

/// A machine and the offset of what it reads next.
struct Reading(Reader);

impl Reading {
    /// After claim A at offset 0.
    fn claimed() -> Self {
        let mut reading = Self(Reader::start());
        reading.read(claim(A));
        reading
    }

    fn read(&mut self, body: Body) -> Stepped {
        let offset = self.0.next_offset();
        self.0.step(LogRecord { offset, body }).unwrap()
    }

    #[track_caller]
    fn ignores(&mut self, body: Body, reason: Ignored) {
        let before = self.0.checkpoint();
        assert_eq!(self.read(body), Stepped::Ignored(reason));
        assert_eq!(self.0.checkpoint(), before);
    }

    #[track_caller]
    fn emits(&mut self, body: Body, seq: u64, records: usize) {
        let Stepped::Commit(commit) = self.read(body) else { panic!("no commit") };
        assert_eq!((commit.seq, commit.epoch), (seq, self.0.epoch()));
        assert_eq!(commit.next_offset, self.0.next_offset());
        let count = match commit.body {
            CommitBody::Events(events) => events.len(),
            CommitBody::Barrier(_) => 1,
        };
        assert_eq!(count, records);
    }

    #[track_caller]
    fn is_partial(&mut self, body: Body) {
        assert_eq!(self.read(body), Stepped::Partial);
    }
}

/// The event at `index` of commit `seq`, which has `count` records, of the writer that claimed with
/// `claim` at `epoch`.
fn event(epoch: Offset, claim: Nonce, seq: u64, index: u32, count: u32) -> Body {
    of_command(Place { epoch, claim, seq, index, count }, 1)
}

fn of_command(place: Place, command: u128) -> Body {
    Body::Event(Box::new(sample::event(place, command)))
}

fn claim(nonce: Nonce) -> Body {
    Body::Claim(sample::claim(nonce))
}

fn barrier(epoch: Offset, claim: Nonce, seq: u64) -> Body {
    Body::Barrier(sample::barrier(Place { epoch, claim, seq, index: 0, count: 1 }))
}

#[test]
fn claim_begins_an_epoch_at_its_offset() {
    let mut reading = Reading(Reader::start());
    let reason = ForeignReason::ContentType;
    reading.ignores(Body::Foreign(reason), Ignored::Foreign(reason));
    let Stepped::Claimed { epoch, claim } = reading.read(claim(A)) else { panic!() };
    assert_eq!((epoch, claim.nonce), (1, A));
    assert_eq!((reading.0.epoch(), reading.0.claim()), (1, Some(A)));
}

#[test]
fn log_is_named_after_its_first_claim() {
    let mut reading = Reading(Reader::start());
    assert_eq!(reading.0.log_id(), None);
    reading.read(claim(A));
    reading.read(claim(B));
    assert_eq!(reading.0.log_id(), Some(A));
    reading.emits(event(1, B, 1, 0, 1), 1, 1);
    assert_eq!(reading.0.checkpoint().log_id, Some(A));
}

#[test]
fn commit_is_emitted_when_it_is_complete() {
    let mut reading = Reading::claimed();
    reading.is_partial(event(0, A, 1, 0, 3));
    reading.is_partial(event(0, A, 1, 1, 3));
    reading.emits(event(0, A, 1, 2, 3), 1, 3);
    reading.emits(event(0, A, 2, 0, 1), 2, 1);
    reading.emits(barrier(0, A, 3), 3, 1);
    assert_eq!(reading.0.last_seq(), 3);
}

#[test]
fn nothing_counts_before_the_first_claim() {
    let mut reading = Reading(Reader::start());
    reading.ignores(event(-1, A, 1, 0, 1), Ignored::StaleEpoch);
    reading.ignores(event(0, A, 1, 0, 1), Ignored::StaleEpoch);
    reading.ignores(barrier(-1, A, 1), Ignored::StaleEpoch);
}

#[test]
fn deposed_writer_is_ignored() {
    let mut reading = Reading::claimed();
    reading.emits(event(0, A, 1, 0, 1), 1, 1);
    reading.read(claim(B));
    reading.ignores(event(0, A, 2, 0, 1), Ignored::StaleEpoch);
    reading.ignores(barrier(0, A, 2), Ignored::StaleEpoch);
    reading.emits(event(2, B, 2, 0, 1), 2, 1);
}

#[test]
fn epoch_and_nonce_must_both_fit() {
    let mut reading = Reading::claimed();
    reading.ignores(event(0, B, 1, 0, 1), Ignored::StaleEpoch);
    reading.ignores(event(1, A, 1, 0, 1), Ignored::StaleEpoch);
    reading.ignores(barrier(0, B, 1), Ignored::StaleEpoch);
}

#[test]
fn copy_of_the_own_claim_deposes_too() {
    let mut reading = Reading::claimed();
    reading.read(claim(A));
    reading.ignores(event(0, A, 1, 0, 1), Ignored::StaleEpoch);
    reading.emits(event(1, A, 1, 0, 1), 1, 1);
}

#[test]
fn emitted_commit_is_a_duplicate() {
    let mut reading = Reading::claimed();
    reading.is_partial(event(0, A, 1, 0, 2));
    reading.emits(event(0, A, 1, 1, 2), 1, 2);
    reading.ignores(event(0, A, 1, 0, 2), Ignored::Duplicate);
    reading.ignores(event(0, A, 1, 1, 2), Ignored::Duplicate);
    reading.ignores(barrier(0, A, 1), Ignored::Duplicate);
    reading.ignores(event(0, A, 0, 0, 1), Ignored::Duplicate);
}

#[test]
fn gap_poisons_nothing() {
    let mut reading = Reading::claimed();
    reading.ignores(event(0, A, 2, 0, 1), Ignored::Gap);
    reading.ignores(barrier(0, A, u64::MAX), Ignored::Gap);
    reading.is_partial(event(0, A, 1, 0, 2));
    reading.ignores(event(0, A, 2, 0, 1), Ignored::Gap);
    reading.emits(event(0, A, 1, 1, 2), 1, 2);
    reading.emits(event(0, A, 2, 0, 1), 2, 1);
}

#[test]
fn records_must_continue_the_commit_under_way() {
    let mut reading = Reading::claimed();
    let place = Place { epoch: 0, claim: A, seq: 1, index: 1, count: 3 };
    reading.ignores(event(0, A, 1, 1, 3), Ignored::OutOfPlace);
    reading.is_partial(event(0, A, 1, 0, 3));
    reading.ignores(event(0, A, 1, 0, 3), Ignored::OutOfPlace);
    reading.ignores(event(0, A, 1, 2, 3), Ignored::OutOfPlace);
    reading.ignores(event(0, A, 1, 1, 2), Ignored::OutOfPlace);
    reading.ignores(of_command(place, 2), Ignored::OutOfPlace);
    reading.ignores(barrier(0, A, 1), Ignored::OutOfPlace);
    reading.is_partial(event(0, A, 1, 1, 3));
    reading.emits(event(0, A, 1, 2, 3), 1, 3);
}

#[test]
fn impossible_places_are_ignored() {
    let mut reading = Reading::claimed();
    reading.ignores(event(0, A, 1, 0, 0), Ignored::OutOfPlace);
    let place = Place { epoch: 0, claim: A, seq: 1, index: 0, count: 2 };
    for index in [0, 1] {
        let barrier = sample::barrier(Place { index, ..place });
        reading.ignores(Body::Barrier(barrier), Ignored::OutOfPlace);
    }
}

#[test]
fn claim_drops_what_was_partial_and_keeps_the_number() {
    let mut reading = Reading::claimed();
    reading.emits(event(0, A, 1, 0, 1), 1, 1);
    reading.is_partial(event(0, A, 2, 0, 2));
    reading.read(claim(B));
    assert_eq!(reading.0.last_seq(), 1);
    reading.ignores(event(0, A, 2, 1, 2), Ignored::StaleEpoch);
    reading.ignores(event(3, B, 2, 1, 2), Ignored::OutOfPlace);
    reading.is_partial(event(3, B, 2, 0, 2));
    reading.emits(event(3, B, 2, 1, 2), 2, 2);
}

#[test]
fn checkpoints_come_from_emitted_commits_only() {
    let mut reading = Reading(Reader::start());
    assert_eq!(reading.0.checkpoint(), Checkpoint::START);
    reading.read(claim(A));
    assert_eq!(reading.0.checkpoint(), Checkpoint::START);
    reading.emits(event(0, A, 1, 0, 1), 1, 1);
    let expected =
        Checkpoint { log_id: Some(A), next_offset: 2, epoch: 0, claim: Some(A), last_seq: 1 };
    assert_eq!(reading.0.checkpoint(), expected);
    reading.is_partial(event(0, A, 2, 0, 2));
    reading.read(claim(B));
    assert_eq!(reading.0.checkpoint(), expected);
    reading.emits(barrier(3, B, 2), 2, 1);
    assert_eq!(reading.0.checkpoint().next_offset, 5);
}

#[test]
fn resumed_reader_goes_on_as_if_it_had_read_it_all() {
    let mut reading = Reading::claimed();
    reading.emits(event(0, A, 1, 0, 1), 1, 1);
    let mut resumed = Reading(Reader::resume(reading.0.checkpoint()));
    resumed.ignores(event(0, A, 1, 0, 1), Ignored::Duplicate);
    resumed.emits(event(0, A, 2, 0, 1), 2, 1);
    assert_eq!(resumed.0.log_id(), Some(A));
}

#[test]
fn hole_halts_and_moves_nothing() {
    let mut reading = Reading::claimed();
    for offset in [0, 2, -1] {
        let record = LogRecord { offset, body: event(0, A, 1, 0, 1) };
        assert_eq!(reading.0.step(record), Err(Halt { expected: 1, found: offset }));
    }
    reading.emits(event(0, A, 1, 0, 1), 1, 1);
}

#[test]
fn checkpoint_is_flat_json() {
    let checkpoint =
        Checkpoint { log_id: Some(A), next_offset: 7, epoch: 3, claim: Some(B), last_seq: 2 };
    let text = serde_json::to_string(&checkpoint).unwrap();
    expect_test::expect![[r#"{"log_id":"000000000000000a","next_offset":7,"epoch":3,"claim":"000000000000000b","last_seq":2}"#]].assert_eq(&text);
    assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), checkpoint);
}

#[test]
fn barrier_carries_its_outcomes() {
    let outcome = OutcomeRecord {
        command_id: domain::id::CommandId::new(uuid::Uuid::from_u128(7)),
        request_hash: RequestHash([1; 16]),
        status: 422,
        body: serde_json::json!({"code": "cart.empty"}),
    };
    let mut reading = Reading::claimed();
    let Body::Barrier(mut record) = barrier(0, A, 1) else { panic!() };
    record.outcomes.push(outcome.clone());
    let Stepped::Commit(commit) = reading.read(Body::Barrier(record)) else { panic!() };
    let CommitBody::Barrier(emitted) = commit.body else { panic!() };
    assert_eq!(emitted.outcomes, [outcome]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn commits(reader: &mut Reader, log: &[Body]) -> Vec<(Commit, Checkpoint)> {
        let first = usize::try_from(reader.next_offset()).unwrap();
        let mut commits = Vec::new();
        for body in &log[first..] {
            let record = LogRecord { offset: reader.next_offset(), body: body.clone() };
            if let Stepped::Commit(commit) = reader.step(record).unwrap() {
                commits.push((commit, reader.checkpoint()));
            }
        }
        commits
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn machine_agrees_with_the_slow_model(log in model::any_log()) {
            let emitted = commits(&mut Reader::start(), &log);
            let emitted: Vec<_> = emitted.into_iter().map(|(commit, _)| commit).collect();
            prop_assert_eq!(emitted, model::commits(&log));
        }

        #[test]
        fn every_checkpoint_gives_the_same_rest(log in model::any_log()) {
            let all = commits(&mut Reader::start(), &log);
            for (number, (commit, checkpoint)) in all.iter().enumerate() {
                prop_assert_eq!(commit.next_offset, checkpoint.next_offset);
                let rest = commits(&mut Reader::resume(*checkpoint), &log);
                prop_assert_eq!(&rest[..], &all[number + 1..]);
            }
        }
    }
}
