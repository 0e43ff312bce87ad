//! What the machine must do, said slowly, and logs of every kind to compare the two on.
//!
//! The model looks at the whole log at once and shares no code with the machine.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::log::sample;

/// All commits of a log.
pub(super) fn commits(log: &[Body]) -> Vec<Commit> {
    let mut commits = Vec::new();
    while let Some(commit) = next_commit(log, &commits) {
        commits.push(commit);
    }
    commits
}

/// The first commit after those that are known: the first epoch in which one completes has it.
fn next_commit(log: &[Body], known: &[Commit]) -> Option<Commit> {
    let from = known.last().map_or(0, |commit| commit.next_offset);
    let seq = known.len() as u64 + 1;
    epochs(log).into_iter().find_map(|(epoch, claim, end)| {
        let ours = |place: &Place| (place.epoch, place.claim, place.seq) == (epoch, claim, seq);
        let mut chosen: Vec<EventRecord> = Vec::new();
        for offset in from.max(epoch + 1)..end {
            match &log[usize::try_from(offset).unwrap()] {
                Body::Event(event) if ours(&event.place) && continues(&chosen, event) => {
                    chosen.push(EventRecord::clone(event));
                    if chosen.len() == event.place.count as usize {
                        let body = CommitBody::Events(chosen);
                        return Some(Commit { epoch, seq, next_offset: offset + 1, body });
                    }
                }
                Body::Barrier(barrier) if ours(&barrier.place) && chosen.is_empty() => {
                    let body = CommitBody::Barrier(barrier.clone());
                    return Some(Commit { epoch, seq, next_offset: offset + 1, body });
                }
                _ => {}
            }
        }
        None
    })
}

/// The offset and nonce of each claim, and where its epoch ends.
fn epochs(log: &[Body]) -> Vec<(Offset, Nonce, Offset)> {
    let claims: Vec<_> = (0..)
        .zip(log)
        .filter_map(|(offset, body)| match body {
            Body::Claim(claim) => Some((offset, claim.nonce)),
            _ => None,
        })
        .collect();
    let ends = claims.iter().skip(1).map(|&(offset, _)| offset);
    let ends = ends.chain([Offset::try_from(log.len()).unwrap()]);
    claims.iter().zip(ends).map(|(&(epoch, nonce), end)| (epoch, nonce, end)).collect()
}

fn continues(chosen: &[EventRecord], event: &EventRecord) -> bool {
    let agrees = |first: &EventRecord| {
        first.place.count == event.place.count
            && first.provenance.command_id == event.provenance.command_id
    };
    event.place.index as usize == chosen.len() && chosen.iter().all(agrees)
}

/// Something that happens to a log.
#[derive(Clone, Debug)]
enum Act {
    Claim,
    /// A commit of the writer that claimed `writers_back` claims ago, whose number is off by
    /// `off`; only the records from `first` to before `last` land.
    Commit {
        writers_back: usize,
        off: i64,
        count: u32,
        first: u32,
        last: Option<u32>,
        command: u8,
    },
    Barrier {
        writers_back: usize,
        off: i64,
    },
    /// A record that landed before lands again.
    Again {
        records_back: usize,
    },
    /// A record of the current writer that no writer would make.
    Odd {
        wrong_claim: bool,
        index: u32,
        count: u32,
        command: u8,
    },
    Foreign,
}

fn any_act() -> impl Strategy<Value = Act> {
    let writers_back = || prop_oneof![5 => Just(0_usize), 1 => 1..3_usize];
    let off = || prop_oneof![6 => Just(0_i64), 1 => -2..3_i64];
    let first = prop_oneof![5 => Just(0_u32), 1 => 0..3_u32];
    let commit = (writers_back(), off(), 1..5_u32, first, option::weighted(0.2, 0..4_u32), 0..3_u8);
    prop_oneof![
        2 => Just(Act::Claim),
        8 => commit.prop_map(|(writers_back, off, count, first, last, command)| {
            Act::Commit { writers_back, off, count, first, last, command }
        }),
        2 => (writers_back(), off())
            .prop_map(|(writers_back, off)| Act::Barrier { writers_back, off }),
        2 => (0..8_usize).prop_map(|records_back| Act::Again { records_back }),
        2 => (any::<bool>(), 0..3_u32, 1..4_u32, 0..3_u8).prop_map(
            |(wrong_claim, index, count, command)| Act::Odd { wrong_claim, index, count, command }
        ),
        1 => Just(Act::Foreign),
    ]
}

/// A log made of claims, good commits, and everything that may go wrong with them.
pub(super) fn any_log() -> impl Strategy<Value = Vec<Body>> {
    vec(any_act(), 1..25).prop_map(|acts| {
        let mut log = Vec::new();
        for act in acts {
            act.apply(&mut log);
        }
        log
    })
}

impl Act {
    fn apply(self, log: &mut Vec<Body>) {
        let last_seq = i64::try_from(commits(log).len()).unwrap();
        let number = |off: i64| u64::try_from((last_seq + 1 + off).max(0)).unwrap();
        let writer = |log: &[Body], back| epochs(log).into_iter().rev().nth(back);
        match self {
            Self::Claim => log.push(Body::Claim(sample::claim(Nonce(log.len() as u64)))),
            Self::Commit { writers_back, off, count, first, last, command } => {
                let Some((epoch, claim, _)) = writer(log, writers_back) else { return };
                for index in first..last.unwrap_or(count).min(count) {
                    let place = Place { epoch, claim, seq: number(off), index, count };
                    log.push(event(place, command));
                }
            }
            Self::Barrier { writers_back, off } => {
                let Some((epoch, claim, _)) = writer(log, writers_back) else { return };
                let place = Place { epoch, claim, seq: number(off), index: 0, count: 1 };
                log.push(Body::Barrier(sample::barrier(place)));
            }
            Self::Again { records_back } => log.extend(log.iter().rev().nth(records_back).cloned()),
            Self::Odd { wrong_claim, index, count, command } => {
                let Some((epoch, claim, _)) = writer(log, 0) else { return };
                let claim = if wrong_claim { Nonce(u64::MAX) } else { claim };
                let place = Place { epoch, claim, seq: number(0), index, count };
                log.push(event(place, command));
            }
            Self::Foreign => log.push(Body::Foreign(ForeignReason::ContentType)),
        }
    }
}

fn event(place: Place, command: u8) -> Body {
    Body::Event(Box::new(sample::event(place, command.into())))
}
