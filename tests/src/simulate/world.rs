//! The whole system of one history, and what each action does to it.

use domain::timestamp::Timestamp;
use infra::log::mistake::Mistakes;

use super::{
    action::Action,
    history::{Ask, History, Violation},
    node::{Node, Request},
    outside::{Journal, Outside, describe},
    partition::Partition,
    plan::Plan,
    projector::{Projector, ReadModel},
};

/// Some moment; deadlines and clocks are relative to it.
const BEGIN: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// How large a world is.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) nodes: usize,
    pub(super) projectors: usize,
    /// Records that a producer's queue has room for.
    pub(super) room: usize,
}

pub(super) struct World {
    pub(super) plans: Vec<Plan>,
    pub(super) nodes: Vec<Node>,
    pub(super) projectors: Vec<Projector>,
    pub(super) model: ReadModel,
    pub(super) outside: Outside,
    pub(super) mistakes: Mistakes,
    /// How many were applied.
    pub(super) actions: u64,
}

impl World {
    pub(super) fn new(size: Size, plans: Vec<Plan>, mistakes: Mistakes, journal: Journal) -> Self {
        let outside = Outside {
            now: BEGIN,
            partition: Partition::default(),
            history: History::default(),
            nodes: size.nodes,
            elected: 0,
            journal,
        };
        let mut nodes: Vec<Node> =
            (0..size.nodes).map(|index| Node::new(index, size.room, mistakes)).collect();
        nodes.iter_mut().for_each(|node| node.start(BEGIN));
        let projectors = (0..size.projectors).map(|_| Projector::new(mistakes)).collect();
        let model = ReadModel::default();
        Self { plans, nodes, projectors, model, outside, mistakes, actions: 0 }
    }

    /// # Errors
    /// A promise was broken by it.
    pub(super) fn apply(&mut self, action: Action) -> Result<(), Violation> {
        self.actions += 1;
        let Self { plans, nodes, projectors, model, outside, .. } = self;
        let now = outside.now;
        outside.journal.note(|| action.to_string());
        match action {
            Action::Submit { plan, node } => {
                let Some(process) = &mut nodes[node].process else { return Ok(()) };
                let op = outside.history.invoke(node, Ask::Submit { plan });
                process.requests.push_back(Request::Submit { op, plan });
                outside.journal.note(|| {
                    let plan = &plans[plan];
                    let (command, stream) = (plan.addressed.command(), plan.addressed.stream());
                    format!("  op {op}: {} {command:?} on {stream}", plan.name)
                });
            }
            Action::Read { stream, node } => {
                let Some(process) = &mut nodes[node].process else { return Ok(()) };
                let op = outside.history.invoke(node, Ask::Read { stream });
                process.requests.push_back(Request::Read { op });
            }
            Action::Deliver { node, fate } => nodes[node].deliver(fate, outside),
            Action::GhostLands { ghost } => {
                let record = &outside.partition.ghosts[ghost];
                outside.journal.note(|| format!("  {}", describe(record)));
                let at = outside.partition.land_ghost(ghost);
                outside.journal.note(|| format!("  lands at {at}"));
            }
            Action::ForeignLands => outside.partition.land_foreign(),
            Action::Turn { node, turn } => nodes[node].turn(turn, plans, outside)?,
            Action::ProducerFails { node } => {
                let process = nodes[node].process.as_mut();
                if let Some(writer) = process.and_then(|process| process.writer.as_mut()) {
                    writer.failed = true;
                }
            }
            Action::Elect { node } => outside.elected = node,
            Action::Pass { micros } => {
                outside.now = Timestamp::from_micros(now.as_micros() + micros);
            }
            Action::ClockJumps { node, micros } => nodes[node].skew += micros,
            Action::Pause { node } => nodes[node].paused = true,
            Action::Continue { node } => nodes[node].paused = false,
            Action::Crash { node, kept } => nodes[node].crash(kept, outside),
            Action::StoreBreaks { node } => nodes[node].disk.breaks(),
            Action::Start { node } => nodes[node].start(now),
            Action::Project { projector, records } => {
                projectors[projector].read(records, &outside.partition)?;
            }
            Action::Write { projector, answered } => projectors[projector].write(model, answered),
            Action::CrashProjector { projector } => projectors[projector].restart(model),
        }
        Ok(())
    }
}
