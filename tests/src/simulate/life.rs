//! One history from a seed to its verdict, and what a person needs who looks into a broken promise.

use infra::log::mistake::{Mistake, Mistakes};

use super::{
    chance::Chance,
    check,
    history::{Reply, Violation},
    outside::Journal,
    rest,
    world::World,
};
use stack::console;

/// The end of a history says most; all of it is one command away.
const LINES_MAX: usize = 60;

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

/// The check, the lines of the history that concern it, and the command that replays it.
pub(super) fn tell(seed: u64, mistake: Option<Mistake>, violation: &Violation) {
    console::line(&format!("seed {seed} breaks a promise: {violation}"));
    let journal = Life::live(seed, mistake, true).journal;
    let lines = relevant(&journal, violation);
    let left_out = lines.len().saturating_sub(LINES_MAX);
    console::line(&format!("the history, as far as it concerns that ({left_out} lines left out):"));
    lines.iter().skip(left_out).for_each(|line| console::line(&format!("    {line}")));
    let planted = mistake.map(|mistake| format!(" --mistake {}", mistake.as_str()));
    let planted = planted.unwrap_or_default();
    console::line(&format!("replay: cargo stack simulate --seed {seed}{planted} --trace"));
}

/// Actions with their consequences, if one of the lines has a word that matters.
fn relevant<'a>(journal: &'a [String], violation: &Violation) -> Vec<&'a str> {
    let matters = |line: &&String| {
        let claims = ["claim", "serves", "killed", "-- "].iter().any(|word| line.contains(word));
        claims || violation.about.iter().any(|word| line.contains(word.as_str()))
    };
    journal
        .chunk_by(|_, next| next.starts_with("  "))
        .filter(|lines| violation.about.is_empty() || lines.iter().any(|line| matters(&line)))
        .flatten()
        .map(String::as_str)
        .collect()
}
