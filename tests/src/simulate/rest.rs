//! Faults stop, and the system is driven to rest: everything that was asked must get its answer,
//! every command its outcome, every deadline its event, and the read model all commits.

use rand::{Rng, seq::SliceRandom};

use super::{
    action::{Action, Turn},
    chance::Chance,
    history::{Ask, Reply, Violation},
    world::World,
};
use command_api::engine::SubmitError;

/// Far more than any sound history needs.
const ACTIONS_MAX: usize = 20_000;
const IDLE_MIN_MICROS: i64 = 10_000;
const IDLE_MAX_MICROS: i64 = 10_000_000;
/// Beyond every deadline, whatever the clock was that set it.
const DEADLINES_MICROS: i64 = 2 * 3_600 * 1_000_000;

/// A deadline may lead to another one, which has passed as well.
const TICKS_MAX: u32 = 10;

/// # Errors
/// It does not come to rest.
pub(super) fn settle(world: &mut World, chance: &mut Chance) -> Result<(), Violation> {
    world.outside.journal.note(|| "-- faults stop".to_owned());
    repair(world, chance)?;
    drive(world, chance)?;
    world.outside.journal.note(|| "-- every command is sent again".to_owned());
    let asked = world.outside.history.ops.len();
    for plan in 0..world.plans.len() {
        world.apply(Action::Submit { plan, node: world.outside.elected })?;
    }
    drive(world, chance)?;
    check_answered(world, asked)?;
    world.outside.journal.note(|| "-- every deadline passes".to_owned());
    world.apply(Action::Pass { micros: DEADLINES_MICROS })?;
    drive(world, chance)?;
    // Who had to claim the shard first finds those that are left with its next tick.
    for _ in 0..TICKS_MAX {
        if is_due(world) {
            world.apply(Action::Pass { micros: IDLE_MIN_MICROS })?;
            drive(world, chance)?;
        }
    }
    project(world)
}

fn is_due(world: &World) -> bool {
    let now = world.outside.now;
    let mut running =
        world.nodes.iter().filter_map(|node| Some((node.process.as_ref()?, node.skew)));
    running.any(|(process, skew)| process.wakes_at(skew).is_some_and(|at| at <= now))
}

/// All nodes run, clocks are right, stores can be read, and what may still land does so or is gone.
fn repair(world: &mut World, chance: &mut Chance) -> Result<(), Violation> {
    for node in 0..world.nodes.len() {
        let at = &world.nodes[node];
        let action = match (&at.process, at.paused) {
            (None, _) => Some(Action::Start { node }),
            (Some(_), true) => Some(Action::Continue { node }),
            (Some(_), false) => None,
        };
        let micros = -at.skew;
        action.map_or(Ok(()), |action| world.apply(action))?;
        world.nodes[node].disk.mend();
        // What a node could not read at the end of a turn it acts on in the next.
        world.apply(Action::Turn { node, turn: Turn::Tick })?;
        world.apply(Action::ClockJumps { node, micros })?;
    }
    let node = chance.random.random_range(0..world.nodes.len());
    world.apply(Action::Elect { node })?;
    world.outside.partition.ghosts.shuffle(&mut chance.random);
    while !world.outside.partition.ghosts.is_empty() {
        if chance.random.random_bool(0.5) {
            world.apply(Action::GhostLands { ghost: 0 })?;
        } else {
            world.outside.partition.ghosts.remove(0);
        }
    }
    Ok(())
}

fn drive(world: &mut World, chance: &mut Chance) -> Result<(), Violation> {
    let mut idle = IDLE_MIN_MICROS;
    for _ in 0..ACTIONS_MAX {
        if let Some(action) = chance.next_calm(world) {
            if !matches!(action, Action::Turn { turn: Turn::Tick, .. }) {
                idle = IDLE_MIN_MICROS;
            }
            world.apply(action)?;
        } else if is_at_rest(world) {
            return Ok(());
        } else {
            world.apply(Action::Pass { micros: idle })?;
            idle = (idle * 2).min(IDLE_MAX_MICROS);
        }
    }
    let open: Vec<usize> = world.outside.history.open().map(|(op, _)| op).collect();
    let detail = format!("no rest after {ACTIONS_MAX} actions without a fault; open: {open:?}");
    let violation = Violation::new("everything is answered", detail);
    Err(open
        .iter()
        .take(1)
        .fold(violation, |v, op| v.about(format!("op {op} ")).about(format!("op {op}:"))))
}

fn is_at_rest(world: &World) -> bool {
    let mut processes = world.nodes.iter().filter_map(|node| node.process.as_ref());
    processes.all(|process| process.is_at_rest(&world.outside.partition))
        && world.outside.history.open().next().is_none()
}

/// What is asked while nothing is wrong gets an outcome.
fn check_answered(world: &World, asked: usize) -> Result<(), Violation> {
    for op in &world.outside.history.ops[asked..] {
        let Ask::Submit { plan } = op.ask else { continue };
        let told = op.told.as_ref().map(|told| &told.what);
        if let Some(Reply::Submitted(Ok(_) | Err(SubmitError::KeyReused))) = told {
            continue;
        }
        let name = &world.plans[plan].name;
        let violation = Violation::new("everything is answered", format!("{name} has no outcome"));
        return Err(violation.about(name));
    }
    Ok(())
}

fn project(world: &mut World) -> Result<(), Violation> {
    // The second one finds what a mistaken first one left out.
    for projector in 0..world.projectors.len() {
        for _ in 0..3 {
            let records = world.outside.partition.records.len();
            world.apply(Action::Project { projector, records })?;
            if world.projectors[projector].has_batch() {
                world.apply(Action::Write { projector, answered: true })?;
            }
        }
    }
    Ok(())
}
