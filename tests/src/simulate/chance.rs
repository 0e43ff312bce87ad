//! Chooses what happens next, by a seed.
//!
//! Each history has a temper of its own: which faults it knows and how often they come, so that
//! rare combinations are met in some histories rather than diluted in all.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    action::{Action, Fate, SaveFate, Turn},
    node::Node,
    plan::{self, Plan},
    world::{Size, World},
};

/// Clocks are never further off than this.
const SKEW_MAX_MICROS: i64 = 20 * 60 * 1_000_000;
/// Questions without an answer, beyond which no more are asked.
const OPEN_MAX: usize = 12;

const MILLI: i64 = 1_000;
const SECOND: i64 = 1_000 * MILLI;

pub(super) struct Chance {
    pub(super) random: StdRng,
    pub(super) size: Size,
    pub(super) streams: usize,
    /// Actions until faults stop.
    pub(super) steps: usize,
    temper: Temper,
    leaps: u32,
}

/// How often what happens; the numbers are weights beside one another.
struct Temper {
    submit: u32,
    read: u32,
    /// Of a thousand records, so many meet one of these fates. As many saves fail.
    fault_permille: u32,
    fates: Vec<Fate>,
    /// Another node should own the shard, and how soon nodes hear of it.
    elect: u32,
    view: u32,
    ghost: u32,
    foreign: u32,
    producer: u32,
    pause: u32,
    crash: u32,
    save: u32,
    store: u32,
    clock: u32,
    pass: u32,
    /// Leaps past deadlines that a history may have.
    leaps_max: u32,
    /// A wire that is seldom served lets much be under way at once; who seldom hears of it goes on
    /// in a world that has changed.
    deliver: u32,
    report: u32,
    /// Hears of everything far later than the others, of whoever took its place, too.
    slow: Option<usize>,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let room = if random.random_bool(0.2) { random.random_range(2..6) } else { 1_000 };
        let nodes = *pick(&mut random, &[1, 2, 2, 2, 3]);
        let size = Size { nodes, projectors: 2, room };
        let streams = random.random_range(1..4);
        let steps = *pick(&mut random, &[100, 300, 600, 1_000]);
        let temper = Temper::draw(&mut random);
        Self { random, size, streams, steps, temper, leaps: 0 }
    }

    pub(super) fn plans(&mut self) -> Vec<Plan> {
        plan::draw(&mut self.random, self.streams)
    }

    /// While faults last.
    pub(super) fn next(&mut self, world: &World) -> Action {
        let mut offers = Offers::default();
        for (index, node) in world.nodes.iter().enumerate() {
            self.offer_work(index, node, world, &mut offers);
            self.offer_fault(index, node, &mut offers);
        }
        if world.outside.history.open().count() < OPEN_MAX {
            let node = self.node_to_ask(world);
            if world.nodes[node].process.is_some() {
                let plan = self.random.random_range(0..world.plans.len());
                offers.add(self.temper.submit, Action::Submit { plan, node });
            }
            // Reads find more at a node that does not know that it was deposed.
            let node = self.random.random_range(0..world.nodes.len());
            if world.nodes[node].process.is_some() {
                let stream = self.random.random_range(0..self.streams);
                offers.add(self.temper.read, Action::Read { stream, node });
            }
        }
        let node = self.random.random_range(0..world.nodes.len());
        if node != world.outside.elected {
            offers.add(self.temper.elect, Action::Elect { node });
        }
        let ghosts = world.outside.partition.ghosts.len();
        if ghosts > 0 {
            let ghost = self.random.random_range(0..ghosts);
            offers.add(self.temper.ghost, Action::GhostLands { ghost });
        }
        // A log begins with a claim: what stands before it is not ours.
        if world.outside.partition.end() > 0 {
            offers.add(self.temper.foreign, Action::ForeignLands);
        }
        self.offer_projection(world, &mut offers);
        let pass = self.pass();
        offers.add(self.temper.pass, pass);
        offers.choose(&mut self.random)
    }

    /// What moves things on and is no fault; `None` if only time can.
    pub(super) fn next_calm(&mut self, world: &World) -> Option<Action> {
        let mut offers = Offers::default();
        let faults = std::mem::take(&mut self.temper.fault_permille);
        for (index, node) in world.nodes.iter().enumerate() {
            self.offer_work(index, node, world, &mut offers);
        }
        self.temper.fault_permille = faults;
        (!offers.is_empty()).then(|| offers.choose(&mut self.random))
    }

    /// Mostly the one that should own the shard.
    fn node_to_ask(&mut self, world: &World) -> usize {
        if self.random.random_bool(0.7) {
            world.outside.elected
        } else {
            self.random.random_range(0..world.nodes.len())
        }
    }

    fn offer_work(&mut self, node: usize, at: &Node, world: &World, offers: &mut Offers) {
        let Some(process) = &at.process else { return };
        let wire = process.writer.as_ref().map_or(0, |writer| writer.wire.len());
        if wire > 0 {
            let fault = self.random.random_range(0..1_000) < self.temper.fault_permille;
            let fate = match &self.temper.fates[..] {
                fates if fault && !fates.is_empty() => *pick(&mut self.random, fates),
                _ => Fate::Lands,
            };
            offers.add(self.temper.deliver, Action::Deliver { node, fate });
        }
        if at.paused {
            return;
        }
        let now = world.outside.now;
        let mut up_to = |count: usize| self.random.random_range(0..count) + 1;
        let mut offer = |weight, turn| offers.add(weight, Action::Turn { node, turn });
        let reports = process.writer.as_ref().map_or(0, |writer| writer.reports.len());
        let Temper { report, view, .. } = self.temper;
        let (report, view) = if self.temper.slow == Some(node) { (1, 1) } else { (report, view) };
        if reports > 0 {
            offer(report, Turn::Reports { count: up_to(reports) });
        }
        let readable = process.readable(&world.outside.partition);
        if readable > 0 {
            offer(12, Turn::Chunk { count: up_to(readable) });
        }
        if process.learns(world.outside.role_of(node)) {
            offer(view, Turn::View);
        }
        if !process.requests.is_empty() {
            offer(12, Turn::Requests { count: up_to(process.requests.len()) });
        }
        if process.tick_due(now, at.skew) <= now {
            offer(8, Turn::Tick);
        }
        if process.saving.is_some() {
            let fault = self.random.random_range(0..1_000) < self.temper.fault_permille;
            let faults = pick(&mut self.random, &SaveFate::FAULTS);
            let fate = if fault { *faults } else { SaveFate::Written };
            offers.add(self.temper.save, Action::Turn { node, turn: Turn::SaveEnd { fate } });
        } else if process.has_unsaved() {
            offers.add(self.temper.save, Action::Turn { node, turn: Turn::SaveBegin });
        }
    }

    fn offer_fault(&mut self, node: usize, at: &Node, offers: &mut Offers) {
        let Temper { pause, crash, store, clock, producer, .. } = self.temper;
        let Some(process) = &at.process else {
            offers.add(6, Action::Start { node });
            return;
        };
        if crash > 0 {
            let kept = self.kept(at.disk.batches(), process.saving.is_some());
            offers.add(crash, Action::Crash { node, kept });
        }
        offers.add(store, Action::StoreBreaks { node });
        if at.paused {
            offers.add(6, Action::Continue { node });
        } else {
            offers.add(pause, Action::Pause { node });
        }
        offers.add(producer, Action::ProducerFails { node });
        if clock > 0 {
            let to = self.random.random_range(-SKEW_MAX_MICROS..SKEW_MAX_MICROS);
            offers.add(clock, Action::ClockJumps { node, micros: to - at.skew });
        }
    }

    /// Of the batches of a store, those that a crash leaves.
    fn kept(&mut self, written: usize, saving: bool) -> usize {
        let all = written + usize::from(saving);
        if self.random.random_bool(0.8) {
            self.random.random_range(written..=all)
        } else {
            self.random.random_range(0..=all)
        }
    }

    fn offer_projection(&mut self, world: &World, offers: &mut Offers) {
        for (projector, at) in world.projectors.iter().enumerate() {
            if at.can_read(&world.outside.partition) {
                let records = self.random.random_range(1..8);
                offers.add(4, Action::Project { projector, records });
            }
            if at.has_batch() {
                let answered = self.random.random_bool(0.8);
                offers.add(3, Action::Write { projector, answered });
            }
            offers.add(1, Action::CrashProjector { projector });
        }
    }

    fn pass(&mut self) -> Action {
        let micros = match self.random.random_range(0..100) {
            0..60 => self.random.random_range(MILLI..10 * MILLI),
            60..85 => self.random.random_range(10 * MILLI..100 * MILLI),
            85..96 => self.random.random_range(100 * MILLI..3 * SECOND),
            96 => self.random.random_range(10 * SECOND..120 * SECOND),
            _ if self.leaps < self.temper.leaps_max => {
                self.leaps += 1;
                self.random.random_range(10 * 60 * SECOND..20 * 60 * SECOND)
            }
            _ => MILLI,
        };
        Action::Pass { micros }
    }
}

impl Temper {
    fn draw(random: &mut StdRng) -> Self {
        let mut sometimes = |chance: f64, weight: u32| {
            if random.random_bool(chance) { random.random_range(1..=weight) } else { 0 }
        };
        let (foreign, producer, clock) = (sometimes(0.2, 2), sometimes(0.2, 1), sometimes(0.3, 1));
        let (pause, crash, ghost) = (sometimes(0.6, 2), sometimes(0.6, 2), sometimes(0.8, 8));
        let (leaps_max, read) = (sometimes(0.7, 8), sometimes(0.6, 16));
        let fault_permille = sometimes(0.85, 250);
        let elect = sometimes(0.9, 3);
        let (save, store) = (sometimes(0.8, 12), sometimes(0.2, 1));
        let fates = Fate::FAULTS.into_iter().filter(|_| random.random_bool(0.5)).collect();
        let deliver = *pick(random, &[2, 6, 12]);
        let report = *pick(random, &[1, 12, 12]);
        let view = *pick(random, &[1, 6, 12]);
        let submit = *pick(random, &[4, 8, 16]);
        let pass = *pick(random, &[4, 8, 16]);
        let slow = random.random_bool(0.4).then(|| random.random_range(0..2));
        Self {
            submit,
            read,
            elect,
            view,
            fault_permille,
            fates,
            ghost,
            foreign,
            producer,
            pause,
            crash,
            save,
            store,
            clock,
            pass,
            leaps_max,
            deliver,
            report,
            slow,
        }
    }
}

#[derive(Default)]
struct Offers {
    actions: Vec<(u32, Action)>,
    total: u32,
}

impl Offers {
    fn add(&mut self, weight: u32, action: Action) {
        if weight > 0 {
            self.total += weight;
            self.actions.push((self.total, action));
        }
    }

    fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    fn choose(&self, random: &mut StdRng) -> Action {
        let at = random.random_range(0..self.total);
        let chosen = self.actions.partition_point(|(below, _)| *below <= at);
        self.actions[chosen].1
    }
}

fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}
