use domain::shard::ShardId;
use proptest::prelude::*;

use super::*;
use crate::log::{
    EventRecord, OutgoingRecord,
    memory::{MemoryLog, RawRecord},
    sample,
};

const SHARD: ShardId = ShardId::new(0);

/// What one writer does: so many commits of so many records, of which one loses its first record, and
/// records of it that land after it was deposed.
#[derive(Clone, Debug)]
struct Reign {
    commits: Vec<u32>,
    lost: Option<usize>,
    late: usize,
}

fn reign() -> impl Strategy<Value = Reign> {
    let commits = prop::collection::vec(1..=3_u32, 0..6);
    (commits, prop::option::of(0..6_usize), 0..4_usize).prop_map(|(commits, lost, late)| Reign {
        commits,
        lost,
        late,
    })
}

fn event(epoch: Offset, seq: u64, index: u32, count: u32) -> Body {
    let place = Place { epoch, claim: nonce(epoch), seq, index, count };
    let command = (u128::from(seq) << 32) | u128::from(epoch.unsigned_abs());
    let event: EventRecord = sample::event(place, command);
    Body::Event(Box::new(event))
}

fn nonce(epoch: Offset) -> Nonce {
    Nonce(epoch.unsigned_abs() + 100)
}

/// The shard as writers leave it that keep to the rules.
fn history(reigns: &[Reign]) -> Vec<LogRecord> {
    let mut records: Vec<LogRecord> = Vec::new();
    let (mut whole, mut late) = (Reader::start(), Vec::new());
    let push = |records: &mut Vec<LogRecord>, whole: &mut Reader, body: Body| {
        let record = LogRecord { offset: whole.next_offset(), body };
        records.push(record.clone());
        whole.step(record).unwrap();
    };
    for Reign { commits, lost, late: late_count } in reigns {
        let epoch = whole.next_offset();
        push(&mut records, &mut whole, Body::Claim(sample::claim(nonce(epoch))));
        let first = whole.last_seq() + 1;
        let mut bodies = Vec::new();
        for (number, (seq, &count)) in (first..).zip(commits).enumerate() {
            let from = u32::from(Some(number) == *lost);
            bodies.extend((from..count).map(|index| event(epoch, seq, index, count)));
        }
        let stay = bodies.len().saturating_sub(*late_count);
        let mine = bodies.split_off(stay);
        for body in bodies {
            push(&mut records, &mut whole, body);
            // What the one before has left under way lands somewhere in between.
            if let Some(body) = late.pop() {
                push(&mut records, &mut whole, body);
            }
        }
        late = mine;
        late.reverse();
    }
    records
}

fn read(mut joiner: Joiner, records: &[LogRecord]) -> Vec<Commit> {
    let mut commits = Vec::new();
    for record in records
        .iter()
        .filter(|record| record.offset >= joiner.next_offset())
        .cloned()
        .collect::<Vec<_>>()
    {
        commits.extend(joiner.step(record).unwrap());
    }
    commits
}

proptest! {
    /// The longest reign here has 18 records, so that three of them are far enough ahead.
    #[test]
    fn whoever_begins_far_enough_ahead_reads_what_everybody_reads(
        reigns in prop::collection::vec(reign(), 1..12),
        begin in 0..100_usize,
    ) {
        let records = history(&reigns);
        let from = Offset::try_from(begin.min(records.len())).unwrap();
        let shown = from + 60;
        let expected: Vec<_> = read(Joiner::at(Checkpoint::START), &records)
            .into_iter().filter(|commit| commit.next_offset > shown).collect();
        let found: Vec<_> = read(Joiner::blind(from), &records)
            .into_iter().filter(|commit| commit.next_offset > shown).collect();
        if is_settled(&records, from, shown) {
            prop_assert_eq!(found, expected);
        }
    }
}

/// Whether a claim was read whose writer did not lose its first record: from there on all is known.
fn is_settled(records: &[LogRecord], from: Offset, shown: Offset) -> bool {
    let mut whole = Reader::start();
    let mut claims = Vec::new();
    for record in records.iter().cloned() {
        let (offset, body) = (record.offset, record.body.clone());
        let stepped = whole.step(record).unwrap();
        match body {
            Body::Claim(_) if offset >= from && offset <= shown => claims.push(offset),
            Body::Event(event) if claims.contains(&event.place.epoch) => {
                if matches!(stepped, Stepped::Partial | Stepped::Commit(_)) {
                    return true;
                }
                claims.retain(|claim| *claim != event.place.epoch);
            }
            _ => {}
        }
    }
    false
}

fn log_of(records: &[LogRecord]) -> MemoryLog {
    let log = MemoryLog::new(1);
    for record in records {
        let outgoing = match record.body.clone() {
            Body::Claim(claim) => OutgoingRecord::Claim(claim),
            Body::Event(event) => OutgoingRecord::Event(event),
            Body::Barrier(barrier) => OutgoingRecord::Barrier(barrier),
            Body::Foreign(_) => continue,
        };
        log.append_raw(SHARD, RawRecord::of(&outgoing).unwrap());
    }
    log
}

#[tokio::test]
async fn what_is_read_behind_a_commit_is_what_comes_after_it() {
    let reign = || Reign { commits: vec![1, 3, 2], lost: None, late: 0 };
    let log = log_of(&history(&[reign(), reign()]));
    let mut whole = Midway::open(&log, SHARD, Begin::Start).await.unwrap();
    let commits = whole.next(&log, SHARD, 100).await.unwrap();
    assert_eq!(commits.len(), 6);
    for (number, commit) in commits.iter().enumerate() {
        let checkpoint = whole.after(commit);
        for begin in [Begin::At(checkpoint), Begin::After(checkpoint.next_offset)] {
            let mut rest = Midway::open(&log, SHARD, begin).await.unwrap();
            let found =
                if number == 5 { Vec::new() } else { rest.next(&log, SHARD, 100).await.unwrap() };
            assert_eq!(found, commits[number + 1..], "{begin:?}");
        }
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_log_is_refused() {
    let log = log_of(&history(&[Reign { commits: vec![1], lost: None, late: 0 }]));
    let checkpoint = Checkpoint { log_id: Some(Nonce(7)), ..Checkpoint::START };
    let opened = Midway::open(&log, SHARD, Begin::At(checkpoint)).await;
    assert!(matches!(opened, Err(ReadError::Recreated { expected: Nonce(7), .. })));
}

#[test]
fn a_claim_that_was_not_read_is_taken_from_what_names_it() {
    let records = history(&[
        Reign { commits: vec![1, 2], lost: None, late: 1 },
        Reign { commits: vec![2, 1], lost: None, late: 0 },
    ]);
    let whole = read(Joiner::at(Checkpoint::START), &records);
    let found = read(Joiner::blind(1), &records);
    assert_eq!(found, whole);
}

/// Two reigns, a record of the first one long after that, and a third reign: the offset of that record, too.
fn late_by_far() -> (Vec<LogRecord>, Offset) {
    let reign = || Reign { commits: vec![1, 1], lost: None, late: 0 };
    let mut records = history(&[reign(), reign()]);
    let stale = Offset::try_from(records.len()).unwrap();
    let bodies = [
        event(0, 3, 0, 1),
        Body::Claim(sample::claim(nonce(stale + 1))),
        event(stale + 1, 5, 0, 1),
        event(stale + 1, 6, 0, 1),
    ];
    records.extend((stale..).zip(bodies).map(|(offset, body)| LogRecord { offset, body }));
    (records, stale)
}

/// Nothing was to be written, so the writer did not know that it was deposed.
#[test]
fn what_a_writer_appends_long_after_it_was_deposed_does_not_count() {
    let (records, stale) = late_by_far();
    let whole = read(Joiner::at(Checkpoint::START), &records);
    assert_eq!(whole.iter().map(|commit| commit.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for from in 0..stale - 2 {
        let found = read(Joiner::blind(from), &records);
        let whole = whole.iter().filter(|commit| commit.next_offset > stale);
        let found = found.iter().filter(|commit| commit.next_offset > stale);
        assert!(found.eq(whole), "from {from}");
    }
}

#[test]
fn who_has_shown_what_never_counted_learns_of_it() {
    let (mut records, stale) = late_by_far();
    let place = |records: &mut Vec<LogRecord>, at: usize, seq| {
        let Body::Event(event) = &mut records[at].body else { panic!("an event") };
        event.place.seq = seq;
    };
    let at = usize::try_from(stale).unwrap();
    place(&mut records, at, 5);
    let mut joiner = Joiner::blind(stale);
    assert!(joiner.step(records[at].clone()).unwrap().is_some(), "nothing tells that it is stale");
    joiner.settle();
    for record in &records[at + 1..] {
        joiner.step(record.clone()).unwrap();
    }
    assert_eq!(joiner.corrections(), 1);
}
