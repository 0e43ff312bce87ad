//! Which fault comes when: every kind in turn, in an order and with measures that follow from a seed.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::proxy::Mode;
use stack::ports::Size;

/// The projections that each client's wishes keep busy.
const BUSY: [&str; 5] = ["carts", "orders", "products", "sales", "stock"];
/// Those of them that no client looks at: one whose events are parked shows what was before them.
const UNREAD: [&str; 4] = ["carts", "orders", "products", "sales"];

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// kill -9 of a command-api node.
    NodeKilled,
    /// SIGSTOP, and SIGCONT when the others have long taken it for dead.
    NodePaused,
    /// SIGTERM and a new start, as in a rolling restart.
    NodeRestarted,
    /// A node does not reach some brokers, or any.
    NodeWithoutBrokers,
    /// A node is not reached by the others.
    NodeUnreachable,
    /// The disk of a node's state store takes no more data.
    StoreFull,
    /// Clients lose the answers of a node: what they asked for has happened.
    AnswersLost,
    BrokerKilled,
    BrokerPaused,
    ProjectorKilled,
    /// The projector does not reach PostgreSQL.
    ProjectorWithoutPostgres,
    /// Nobody can write the tables of one projection for a minute.
    ProjectionLocked,
    /// The tables of one projection take none of its events.
    ProjectionRefused,
    QueryApiKilled,
    /// The query API does not reach PostgreSQL.
    QueryApiWithoutPostgres,
    PostgresKilled,
}

/// What a run aims at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Every part, but for what befalls one projection alone
    #[default]
    All,
    /// The brokers alone
    Brokers,
    /// The command-api nodes alone: one after the other is killed
    Nodes,
    /// The projector and PostgreSQL alone, many times
    Projector,
}

/// One fault, with all that was drawn for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Blow {
    pub(super) kind: Kind,
    /// Of the node or broker, from 1.
    pub(super) number: usize,
    /// The broker that a node does not reach, from 1; all of them if there is none.
    pub(super) broker: Option<usize>,
    pub(super) projection: &'static str,
    pub(super) mode: Mode,
    pub(super) lasts: Duration,
    /// Until the next one, after everything is whole again.
    pub(super) pause: Duration,
}

/// An endless row of faults.
pub(super) struct Plan {
    random: StdRng,
    size: Size,
    kinds: Vec<Kind>,
    /// The rest of this turn.
    turn: Vec<Kind>,
}

impl Plan {
    /// `left_out`: kinds that cannot be made on this machine.
    pub(super) fn new(seed: u64, size: Size, target: Target, left_out: &[Kind]) -> Self {
        let mut kinds = match target {
            Target::All => {
                let mut all = Kind::value_variants().to_vec();
                all.retain(|kind| !kind.is_of_one_projection());
                all
            }
            Target::Brokers => vec![Kind::BrokerKilled, Kind::BrokerPaused],
            Target::Nodes => vec![Kind::NodeKilled],
            Target::Projector => vec![
                Kind::ProjectorKilled,
                Kind::ProjectorWithoutPostgres,
                Kind::ProjectionLocked,
                Kind::ProjectionRefused,
                Kind::PostgresKilled,
            ],
        };
        kinds.retain(|kind| !left_out.contains(kind));
        Self { random: StdRng::seed_from_u64(seed), size, kinds, turn: Vec::new() }
    }

    fn kind(&mut self) -> Kind {
        loop {
            if let Some(kind) = self.turn.pop() {
                return kind;
            }
            self.turn.clone_from(&self.kinds);
            self.turn.shuffle(&mut self.random);
        }
    }
}

impl Iterator for Plan {
    type Item = Blow;

    fn next(&mut self) -> Option<Blow> {
        let kind = self.kind();
        let random = &mut self.random;
        let count = if kind.is_of_brokers() { self.size.brokers } else { self.size.nodes };
        let lasts = match kind {
            // From the shortest start to one that all others notice.
            Kind::NodeKilled | Kind::ProjectorKilled | Kind::QueryApiKilled => 0..2_500,
            Kind::NodeRestarted | Kind::PostgresKilled | Kind::BrokerKilled => 0..1_000,
            // Longer than the silence after which a node counts as dead.
            Kind::NodePaused => 1_500..4_000,
            Kind::BrokerPaused => 500..4_000,
            Kind::NodeWithoutBrokers | Kind::NodeUnreachable => 500..4_000,
            // From the first write that failed on.
            Kind::StoreFull => 500..5_000,
            Kind::AnswersLost => 300..1_500,
            Kind::ProjectorWithoutPostgres | Kind::QueryApiWithoutPostgres => 200..2_500,
            Kind::ProjectionLocked => 60_000..60_001,
            // It comes back a few times, each time to fail. Some ten letters a second must be settled.
            Kind::ProjectionRefused => 3_000..6_000,
        };
        let projections = match kind {
            Kind::ProjectionRefused => &UNREAD[..],
            _ => &BUSY[..],
        };
        Some(Blow {
            kind,
            number: random.random_range(1..=count),
            broker: Some(random.random_range(1..=self.size.brokers * 2))
                .filter(|number| *number <= self.size.brokers),
            projection: projections[random.random_range(0..projections.len())],
            mode: if random.random_bool(0.5) { Mode::Hold } else { Mode::Cut },
            lasts: Duration::from_millis(random.random_range(lasts)),
            pause: Duration::from_millis(random.random_range(200..1_500)),
        })
    }
}

impl Kind {
    /// They take a minute and more each, and what they must not do, be slow, is more than a machine can
    /// promise that other faults keep busy.
    const fn is_of_one_projection(self) -> bool {
        matches!(self, Self::ProjectionLocked | Self::ProjectionRefused)
    }

    const fn is_of_brokers(self) -> bool {
        matches!(self, Self::BrokerKilled | Self::BrokerPaused)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SIZE: Size = Size { nodes: 3, brokers: 3 };

    fn blows(seed: u64, count: usize) -> Vec<Blow> {
        Plan::new(seed, SIZE, Target::All, &[]).take(count).collect()
    }

    #[test]
    fn a_seed_says_it_all() {
        assert_eq!(blows(7, 50), blows(7, 50));
        assert_ne!(blows(7, 50), blows(8, 50));
    }

    #[test]
    fn every_kind_comes_once_a_turn() {
        let all = Kind::value_variants().iter().filter(|kind| !kind.is_of_one_projection()).count();
        let kinds: BTreeSet<Kind> = blows(1, all).iter().map(|blow| blow.kind).collect();
        assert_eq!(kinds.len(), all);
    }

    #[test]
    fn what_cannot_be_made_here_never_comes() {
        let mut plan = Plan::new(1, SIZE, Target::All, &[Kind::StoreFull]);
        assert!(plan.by_ref().take(50).all(|blow| blow.kind != Kind::StoreFull));
    }

    #[test]
    fn kinds_are_named_as_in_the_report() {
        assert_eq!(Kind::NodeWithoutBrokers.to_string(), "node_without_brokers");
    }
}
