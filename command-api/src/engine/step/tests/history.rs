//! Any history of deliveries, losses, ghosts and foreign claims, against what an independent
//! reader finds in the partition.

use std::time::Duration;

use infra::log::Ticket;
use proptest::prelude::*;

use super::{
    super::super::{Answer, Outcome},
    World, adjust, receive, reserve,
};

#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A client sends a command, or again one that it sent before.
    Submit {
        key: u8,
    },
    Deliver,
    LandsButReportedLost,
    Lost,
    LandsWithoutOffset,
    /// A record of an ended epoch lands late.
    GhostLands,
    ForeignClaim,
    /// The writer takes so many records at once.
    Room {
        records: usize,
    },
    /// Who follows reads what there is.
    Follow,
    /// A batch is taken, or the one that was taken is written.
    Save,
    /// The process dies; the next one goes on from what was saved.
    Crash,
    TimePasses {
        millis: u16,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0_u8..40).prop_map(|key| Happening::Submit { key }),
        8 => Just(Happening::Deliver),
        1 => Just(Happening::LandsButReportedLost),
        1 => Just(Happening::Lost),
        1 => Just(Happening::LandsWithoutOffset),
        2 => Just(Happening::GhostLands),
        1 => Just(Happening::ForeignClaim),
        1 => (1_usize..4).prop_map(|records| Happening::Room { records }),
        2 => Just(Happening::Follow),
        4 => Just(Happening::Save),
        1 => Just(Happening::Crash),
        2 => (1_u16..100).prop_map(|millis| Happening::TimePasses { millis }),
    ]
}

struct History {
    world: World,
    /// Requests with the key that they bear.
    requests: Vec<(u64, u8)>,
}

impl History {
    fn new() -> Self {
        Self { world: World::serving(), requests: Vec::new() }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Submit { key } => {
                let command = match key % 3 {
                    0 => receive(1),
                    1 => adjust(-1),
                    _ => reserve(u32::from(key)),
                };
                let request = self.world.submit(u128::from(key), command);
                self.requests.push((request, key));
                self.world.drain();
            }
            Happening::TimePasses { millis } => {
                self.world.pass(Duration::from_millis(u64::from(millis)));
            }
            Happening::ForeignClaim => self.world.foreign_claim(),
            Happening::Room { records } => self.world.room = records,
            Happening::Follow => self.world.follow(),
            Happening::Save => self.world.save(),
            Happening::Crash => {
                self.world.crash();
                // Who waited then has no answer, and asks again.
                let (answered, asked): (Vec<_>, Vec<_>) = std::mem::take(&mut self.requests)
                    .into_iter()
                    .partition(|(request, _)| self.world.reply(*request).is_some());
                self.requests = answered;
                for (_, key) in asked {
                    self.happen(Happening::Submit { key });
                }
            }
            Happening::GhostLands => {
                if let Some(ghost) = self.world.ghosts.pop() {
                    self.world.land(ghost);
                }
            }
            _ if self.world.wire.is_empty() => {}
            Happening::Deliver => self.world.deliver(),
            Happening::LandsButReportedLost => self.world.deliver_unreported(),
            Happening::Lost => drop(self.world.lose()),
            Happening::LandsWithoutOffset => {
                let (record, ticket): (_, Ticket) = self.world.wire.pop_front().unwrap();
                self.world.land(record);
                self.world.report(ticket, Ok(None));
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.world.pass(Duration::from_millis(10));
            while !self.world.wire.is_empty() {
                self.happen(Happening::Deliver);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_command_has_one_outcome_and_the_log_agrees(
        happenings in prop::collection::vec(happening(), 1..150),
    ) {
        let mut history = History::new();
        for happening in happenings {
            history.happen(happening);
        }
        history.settle();
        let audit = history.world.audit();
        let mut outcomes = std::collections::BTreeMap::new();
        for (request, key) in &history.requests {
            let reply = history.world.reply(*request).expect("an answer").as_ref();
            let Answer { outcome, .. } = reply.expect("no error without overload");
            let first = outcomes.entry(*key).or_insert_with(|| outcome.clone());
            prop_assert_eq!(&*first, outcome, "one outcome per command id");
            let times = audit.iter().filter(|id| **id == u128::from(*key)).count();
            prop_assert_eq!(times, 1, "key {} is in the log once", key);
        }
        let mut revisions: Vec<u64> = outcomes
            .values()
            .filter_map(|outcome| match outcome {
                Outcome::Committed { revision, .. } => Some(*revision),
                Outcome::Unchanged { .. } | Outcome::Rejected { .. } => None,
            })
            .collect();
        revisions.sort_unstable();
        revisions.dedup();
        let committed = u64::try_from(revisions.len()).unwrap();
        prop_assert_eq!(revisions, (1..=committed).collect::<Vec<u64>>(), "dense revisions");
    }
}
