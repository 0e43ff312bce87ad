//! One history from a seed to its verdict.

use infra::log::mistake::{Mistake, Mistakes};

use super::{
    chance::Chance, check, history::Reply, outside::Journal, rest, violation::Violation,
    world::World,
};

pub(super) struct Life {
    pub(super) violation: Option<Violation>,
    pub(super) tally: Tally,
    /// What happened, if that was asked for.
    pub(super) journal: Vec<String>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) histories: u64,
    pub(super) actions: u64,
    pub(super) records: u64,
    pub(super) acknowledged: u64,
}

impl Life {
    pub(super) fn live(seed: u64, mistake: Option<Mistake>, journal: bool) -> Self {
        let mut chance = Chance::new(seed);
        let plans = chance.plans();
        let mistakes = Mistakes::planted(mistake);
        let mut world = World::new(chance.size, plans, mistakes, Journal::kept(journal));
        let violation = live(&mut world, &mut chance).err();
        let tally = Tally::of(&world);
        Self { violation, tally, journal: world.outside.journal.into_lines() }
    }
}

fn live(world: &mut World, chance: &mut Chance) -> Result<(), Violation> {
    for _ in 0..chance.steps {
        let action = chance.next(world);
        world.apply(action)?;
    }
    rest::settle(world, chance)?;
    check::all(world)
}

impl Tally {
    fn of(world: &World) -> Self {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let told = world.outside.history.ops.iter().filter_map(|op| op.told.as_ref());
        let acknowledged = told.filter(|told| matches!(told.what, Reply::Submitted(Ok(_))));
        Self {
            histories: 1,
            actions: world.actions,
            records: count(world.outside.partition.records.len()),
            acknowledged: count(acknowledged.count()),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.actions += other.actions;
        self.records += other.records;
        self.acknowledged += other.acknowledged;
    }
}
