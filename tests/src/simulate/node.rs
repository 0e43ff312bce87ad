//! A node: the shard's machine in a shell that does what `engine/shard.rs` does, minus the waiting.
//!
//! What that shell waits for, chance offers here as a [`Turn`]; the rest is the same: which inputs the
//! machine gets, and in which order effects run. Neither of them decides anything.

mod disk;
mod process;
mod shell;

use std::{collections::VecDeque, time::Duration};

use command_api::engine::effect::Role;
use domain::timestamp::Timestamp;
use infra::log::{Offset, mistake::Mistakes};

use super::{
    action::{Fate, Turn},
    outside::{Outside, describe},
    partition::Partition,
    plan::Plan,
    violation::Violation,
};
use disk::Disk;
pub(super) use process::{Fetch, Process, Request};
use shell::Shell;

/// What survives a crash.
pub(super) struct Node {
    index: usize,
    mistakes: Mistakes,
    /// Records that the producer's queue has room for.
    room: usize,
    /// Since the beginning, so that no two claims have the same nonce.
    claims: u64,
    pub(super) disk: Disk,
    /// The wall clock, as far as it is wrong.
    pub(super) skew: i64,
    pub(super) paused: bool,
    pub(super) process: Option<Process>,
}

impl Node {
    pub(super) fn new(index: usize, room: usize, mistakes: Mistakes) -> Self {
        let disk = Disk::default();
        Self { index, mistakes, room, claims: 0, disk, skew: 0, paused: false, process: None }
    }

    pub(super) fn start(&mut self, now: Timestamp) {
        let machine = self.disk.open(self.mistakes);
        let saved_seq = machine.status().seq;
        self.paused = false;
        self.process = Some(Process {
            machine,
            saving: None,
            saved_seq,
            writer: None,
            fetch: None,
            requests: VecDeque::new(),
            tick_at: now,
            was_serving: false,
        });
    }

    pub(super) fn crash(&mut self, kept: usize, outside: &mut Outside) {
        let Some(process) = self.process.take() else { return };
        self.disk.crash(process.saving, kept);
        process.writer.into_iter().for_each(|writer| writer.close(&mut outside.partition));
        outside.history.lose(self.index);
    }

    pub(super) fn deliver(&mut self, fate: Fate, outside: &mut Outside) {
        let Some(writer) = self.process.as_mut().and_then(|process| process.writer.as_mut()) else {
            return;
        };
        let Some((record, _)) = writer.wire.front() else { return };
        outside.journal.note(|| format!("  {}", describe(record)));
        let landed = writer.deliver(fate, &mut outside.partition);
        outside.journal.note(|| match landed {
            Some(at) => format!("  lands at {at}"),
            None => "  does not land".to_owned(),
        });
    }

    pub(super) fn turn(
        &mut self,
        turn: Turn,
        plans: &[Plan],
        outside: &mut Outside,
    ) -> Result<(), Violation> {
        let (index, room) = (self.index, self.room);
        let clock = Timestamp::from_micros(outside.now.as_micros() + self.skew);
        let Some(process) = self.process.as_mut().filter(|_| !self.paused) else { return Ok(()) };
        let Self { disk, claims, mistakes, .. } = self;
        let mistakes = *mistakes;
        Shell { index, room, claims, clock, mistakes, process, disk, plans, outside }.turn(turn)
    }
}

impl Process {
    pub(super) fn tick_due(&self, now: Timestamp, skew: i64) -> Timestamp {
        let real = |at: Timestamp| Timestamp::from_micros(at.as_micros() - skew);
        let soon = now.plus(Duration::from_millis(1));
        let wakes = self.machine.wakes_at().map(|at| real(at).max(soon));
        wakes.map_or(self.tick_at, |at| at.min(self.tick_at))
    }

    pub(super) fn has_unsaved(&self) -> bool {
        self.machine.status().seq != self.saved_seq
    }

    /// How many records may be read now.
    pub(super) fn readable(&self, partition: &Partition) -> usize {
        let Some(Fetch { next, to }) = self.fetch.filter(|_| self.takes_records()) else {
            return 0;
        };
        let end = to.unwrap_or(Offset::MAX).min(partition.end());
        usize::try_from(end - next).unwrap_or(0)
    }

    /// A replay must not run ahead of what can be saved.
    fn takes_records(&self) -> bool {
        self.machine.follows() && !self.machine.is_saturated()
    }

    pub(super) fn learns(&self, role: Role) -> bool {
        self.machine.role() != role
    }

    /// Nothing is under way, neither to the log nor from it.
    pub(super) fn is_at_rest(&self, partition: &Partition) -> bool {
        let wire = self.writer.as_ref().is_none_or(|w| w.wire.is_empty() && w.reports.is_empty());
        let asks = self.requests.is_empty() && self.readable(partition) == 0;
        let machine = match self.machine.role() {
            Role::Owner => self.machine.is_serving() && self.machine.status().pending == 0,
            Role::Standby | Role::Away => self.machine.is_idle(),
        };
        wire && asks && machine
    }
}
