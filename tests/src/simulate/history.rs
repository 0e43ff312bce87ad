//! What clients asked and what they were told, in the order in which it happened, and the promise
//! that was broken in it.

use std::fmt;

use command_api::engine::{Answer, Snapshot, SubmitError};
use infra::log::Offset;

/// A question of a client to one node.
pub(super) struct Op {
    pub(super) node: usize,
    pub(super) ask: Ask,
    pub(super) invoked: u64,
    pub(super) told: Option<Told>,
    /// Its node lost its memory, so nobody will answer.
    pub(super) lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Submit { plan: usize },
    Read { stream: usize },
}

pub(super) struct Told {
    pub(super) at: u64,
    /// Where the log ended then.
    pub(super) end: Offset,
    pub(super) what: Reply,
}

pub(super) enum Reply {
    Submitted(Result<Answer, SubmitError>),
    Read(Result<Snapshot, SubmitError>),
}

#[derive(Default)]
pub(super) struct History {
    pub(super) ops: Vec<Op>,
    /// Counts what happens, and so orders it.
    pub(super) step: u64,
}

impl History {
    pub(super) fn invoke(&mut self, node: usize, ask: Ask) -> usize {
        self.step += 1;
        self.ops.push(Op { node, ask, invoked: self.step, told: None, lost: false });
        self.ops.len() - 1
    }

    /// # Errors
    /// The question was answered before, or was never asked.
    pub(super) fn tell(&mut self, op: usize, what: Reply, end: Offset) -> Result<(), Violation> {
        self.step += 1;
        let at = self.step;
        match self.ops.get_mut(op) {
            Some(Op { told: slot @ None, .. }) => *slot = Some(Told { at, end, what }),
            Some(_) => return Err(Violation::new("one reply", format!("op {op} has two replies"))),
            None => return Err(Violation::new("one reply", format!("there is no op {op}"))),
        }
        Ok(())
    }

    /// A node lost its memory.
    pub(super) fn lose(&mut self, node: usize) {
        for op in self.ops.iter_mut().filter(|op| op.node == node && op.told.is_none()) {
            op.lost = true;
        }
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &Op)> {
        self.ops.iter().enumerate().filter(|(_, op)| op.told.is_none() && !op.lost)
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Which check found it.
    pub(super) check: &'static str,
    pub(super) detail: String,
    /// Words by which the lines of the history are found that matter.
    pub(super) about: Vec<String>,
}

impl Violation {
    pub(super) fn new(check: &'static str, detail: String) -> Self {
        Self { check, detail, about: vec![] }
    }

    pub(super) fn about(mut self, word: impl Into<String>) -> Self {
        self.about.push(word.into());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.detail)
    }
}
