//! A node: the shard's machine in a shell that does what `engine/shard.rs` does, minus the waiting.
//!
//! What that shell waits for, chance offers here as a [`Turn`]; the rest is the same: which inputs the
//! machine gets, and in which order effects run. Neither of them decides anything.

mod disk;
mod process;
mod shell;

use std::collections::VecDeque;

use domain::timestamp::Timestamp;
use infra::log::mistake::Mistakes;

use super::{
    action::{Fate, Turn},
    history::Violation,
    outside::{Outside, describe},
    plan::Plan,
};
use disk::Disk;
pub(super) use process::{Process, Request};
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
