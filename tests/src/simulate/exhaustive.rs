//! All histories of a small system: two nodes, a few questions, one change of owner, and so many
//! faults. Every order in which they can happen is tried, and each history is driven to rest and
//! checked like a random one.
//!
//! The machines are not copied. A world is made anew by its actions, and two worlds count as the
//! same if every process was told the same things at the same times, the log and what is under way
//! are the same, and clients asked and heard in the same order: then whatever follows is the same.
//! Time passes only when nobody has anything else to do. Nothing is saved: whoever starts begins
//! with an empty store.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    process::ExitCode,
};

use anyhow::Result;
use infra::log::mistake::{Mistake, Mistakes};

use super::{
    action::{Action, Fate, Turn},
    chance::Chance,
    check,
    history::Violation,
    node::Process,
    outside::Journal,
    plan::{self, Plan},
    rest,
    world::{Size, World},
};
use stack::console;

const SIZE: Size = Size { nodes: 2, projectors: 1, room: 1_000 };

/// Of all fates those that differ in what the writer is told or what stands in the log.
const FATES: [Fate; 5] = [
    Fate::LandsWithoutOffset,
    Fate::LandsReportedFailed,
    Fate::LandsTwice { second: false },
    Fate::LandsAndHaunts,
    Fate::Fails { early: false },
];

/// What is asked, in this order: by plan and node. The second is a retry at the other node, the
/// third a command that is refused.
const ASKS: [(usize, usize); 3] = [(0, 0), (0, 1), (1, 0)];

/// How large the explored system is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) asks: usize,
    pub(super) faults: usize,
}

/// What has been explored.
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) histories: u64,
    pub(super) violation: Option<(Vec<Action>, Violation)>,
}

/// `cargo stack simulate --exhaustive`.
pub(super) fn run(bounds: Bounds, mistake: Option<Mistake>) -> Result<ExitCode> {
    let Explored { states, histories, violation } = explore(bounds, mistake);
    if let Some((path, violation)) = &violation {
        console::line(&format!("a promise is broken: {violation}; by these actions:"));
        path.iter().for_each(|action| console::line(&format!("    {action}")));
    }
    let violations = u32::from(violation.is_some());
    let summary = serde_json::json!({
        "asks": bounds.asks,
        "faults": bounds.faults,
        "states": states,
        "histories": histories,
        "violations": violations,
    });
    console::line(&summary.to_string());
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Depth first. Of several branches all but the last begin with a world made anew.
pub(super) fn explore(bounds: Bounds, mistake: Option<Mistake>) -> Explored {
    let make = || Tracked::new(bounds, Mistakes::planted(mistake));
    let mut explored = Explored { states: 0, histories: 0, violation: None };
    let mut seen: HashSet<u64> = HashSet::new();
    let mut open: Vec<Vec<Action>> = vec![vec![]];
    while let Some(mut path) = open.pop() {
        let mut at = make();
        let mut result = path.iter().try_for_each(|action| at.apply(*action));
        while result.is_ok() && seen.insert(at.fingerprint()) {
            let mut offers = at.offers();
            let Some(next) = offers.pop() else {
                explored.histories += 1;
                result = at.finish();
                break;
            };
            open.extend(offers.into_iter().map(|action| [&path[..], &[action]].concat()));
            path.push(next);
            result = at.apply(next);
        }
        explored.states = seen.len();
        if let Err(violation) = result {
            explored.violation = Some((path, violation));
            break;
        }
    }
    explored
}

fn plans() -> Vec<Plan> {
    let sku = plan::sku(0);
    vec![
        Plan::new(0, 0, &sku, plan::receive(1), None),
        Plan::new(1, 0, &sku, plan::reserve(1, 2), None),
    ]
}

/// A world, and all that its processes were told.
struct Tracked {
    world: World,
    told: Vec<u64>,
    /// Of each prefix of the log.
    prefixes: Vec<u64>,
    asks: &'static [(usize, usize)],
    asked: usize,
    elections: usize,
    faults: usize,
}

impl Tracked {
    fn new(bounds: Bounds, mistakes: Mistakes) -> Self {
        let asks = &ASKS[..bounds.asks.min(ASKS.len())];
        let world = World::new(SIZE, plans(), mistakes, Journal::default());
        let told = vec![0; SIZE.nodes];
        let faults = bounds.faults;
        Self { world, told, prefixes: vec![0], asks, asked: 0, elections: 1, faults }
    }

    fn apply(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Submit { .. } => self.asked += 1,
            Action::Elect { .. } => self.elections -= 1,
            Action::Deliver { fate: Fate::Lands, .. } => {}
            Action::Deliver { .. } | Action::Crash { .. } => self.faults -= 1,
            Action::Turn { node, turn } => self.tell(node, turn),
            _ => {}
        }
        self.world.apply(action)?;
        for record in &self.world.outside.partition.records[self.prefixes.len() - 1..] {
            let before = self.prefixes[self.prefixes.len() - 1];
            self.prefixes.push(hash(&(before, format!("{record:?}"))));
        }
        Ok(())
    }

    /// Adds what a process is told by its next turn.
    fn tell(&mut self, node: usize, turn: Turn) {
        let Some(process) = &self.world.nodes[node].process else { return };
        let outside = &self.world.outside;
        let now = outside.now.as_micros();
        if let Turn::Chunk { count } = turn {
            // In how many pieces the log is read makes no difference.
            let from = process.fetch.and_then(|fetch| usize::try_from(fetch.next).ok());
            for prefix in self.prefixes.iter().skip(from.unwrap_or(0) + 1).take(count) {
                self.told[node] = hash(&(self.told[node], prefix));
            }
            return;
        }
        let what = match turn {
            Turn::Reports { .. } => {
                let report = process.writer.as_ref().and_then(|writer| writer.reports.front());
                hash(&format!("{report:?}"))
            }
            Turn::Requests { .. } => hash(&format!("{:?}", process.requests.front())),
            Turn::View => hash(&outside.elected),
            Turn::Tick | Turn::Chunk { .. } | Turn::SaveBegin | Turn::SaveEnd { .. } => 0,
        };
        self.told[node] = hash(&(self.told[node], turn, now, what));
    }

    /// Everything on which the future depends.
    fn fingerprint(&self) -> u64 {
        let outside = &self.world.outside;
        let mut state = DefaultHasher::new();
        let ghosts = format!("{:?}", outside.partition.ghosts);
        (&self.told, self.prefixes.last(), ghosts, self.asked, self.elections, self.faults)
            .hash(&mut state);
        (outside.now.as_micros(), outside.elected).hash(&mut state);
        for op in &outside.history.ops {
            (op.invoked, op.lost, op.told.as_ref().map(|told| (told.at, told.end)))
                .hash(&mut state);
        }
        for process in self.world.nodes.iter().map(|node| node.process.as_ref()) {
            let wire = process.and_then(|process| process.writer.as_ref());
            let wire = wire.map(|writer| (writer.wire.len(), format!("{:?}", writer.reports)));
            let requests = process.map(|process| process.requests.len());
            (wire, requests).hash(&mut state);
        }
        state.finish()
    }

    /// All that can happen next.
    fn offers(&self) -> Vec<Action> {
        let mut offers = Vec::new();
        for node in 0..SIZE.nodes {
            self.offer_work(node, &mut offers);
        }
        if offers.is_empty() {
            offers.extend(self.pass());
        }
        if let Some(&(plan, node)) = self.asks.get(self.asked)
            && self.world.nodes[node].process.is_some()
        {
            offers.push(Action::Submit { plan, node });
        }
        if self.elections > 0 {
            offers.push(Action::Elect { node: 1 });
        }
        for ghost in 0..self.world.outside.partition.ghosts.len() {
            offers.push(Action::GhostLands { ghost });
        }
        if self.faults > 0 {
            for node in 0..SIZE.nodes {
                let wire = self.process(node).and_then(|process| process.writer.as_ref());
                if wire.is_some_and(|writer| !writer.wire.is_empty()) {
                    offers.extend(FATES.map(|fate| Action::Deliver { node, fate }));
                }
                offers.extend(self.process(node).map(|_| Action::Crash { node, kept: 0 }));
            }
        }
        offers
    }

    fn process(&self, node: usize) -> Option<&Process> {
        self.world.nodes[node].process.as_ref()
    }

    fn offer_work(&self, node: usize, offers: &mut Vec<Action>) {
        let Some(process) = self.process(node) else {
            offers.push(Action::Start { node });
            return;
        };
        let outside = &self.world.outside;
        if let Some(writer) = &process.writer {
            if !writer.wire.is_empty() {
                offers.push(Action::Deliver { node, fate: Fate::Lands });
            }
            if !writer.reports.is_empty() {
                offers.push(Action::Turn { node, turn: Turn::Reports { count: 1 } });
            }
        }
        let readable = process.readable(&outside.partition);
        let due = |at| at <= outside.now;
        let turns = [
            (readable > 0, Turn::Chunk { count: readable }),
            (!process.requests.is_empty(), Turn::Requests { count: 1 }),
            (process.learns(outside.role_of(node)), Turn::View),
            (process.machine.wakes_at().is_some_and(due), Turn::Tick),
        ];
        let turns = turns.into_iter().filter(|(now, _)| *now);
        offers.extend(turns.map(|(_, turn)| Action::Turn { node, turn }));
    }

    /// To the next moment that somebody waits for.
    fn pass(&self) -> Option<Action> {
        let processes = (0..SIZE.nodes).filter_map(|node| self.process(node));
        let moments = processes.filter_map(|process| process.machine.wakes_at());
        let now = self.world.outside.now;
        let next = moments.filter(|at| *at > now).min()?;
        Some(Action::Pass { micros: next.as_micros() - now.as_micros() })
    }

    fn finish(&mut self) -> Result<(), Violation> {
        rest::settle(&mut self.world, &mut Chance::new(0))?;
        check::all(&mut self.world)
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut state = DefaultHasher::new();
    what.hash(&mut state);
    state.finish()
}
