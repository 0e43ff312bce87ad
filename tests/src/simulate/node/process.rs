//! What a crash of a node loses.

use std::{collections::VecDeque, sync::Arc};

use command_api::engine::{step::Machine, store::Batch};
use domain::timestamp::Timestamp;
use infra::log::Offset;

use super::super::partition::Producer;

pub(in crate::simulate) struct Process {
    pub(in crate::simulate) machine: Machine,
    /// The batch that is being written.
    pub(in crate::simulate) saving: Option<Arc<Batch>>,
    /// The last commit of which the store was told, or is about to be.
    pub(in crate::simulate) saved_seq: u64,
    pub(in crate::simulate) writer: Option<Producer>,
    pub(in crate::simulate) fetch: Option<Fetch>,
    pub(in crate::simulate) requests: VecDeque<Request>,
    pub(in crate::simulate) tick_at: Timestamp,
    pub(in crate::simulate) was_serving: bool,
}

/// The reading of the log, on its way from `next`.
#[derive(Clone, Copy)]
pub(in crate::simulate) struct Fetch {
    pub(in crate::simulate) next: Offset,
    /// `None`: the log is followed.
    pub(in crate::simulate) to: Option<Offset>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) enum Request {
    Submit { op: usize, plan: usize },
    Read { op: usize },
}

impl Request {
    pub(in crate::simulate) const fn op(self) -> usize {
        match self {
            Self::Submit { op, .. } | Self::Read { op } => op,
        }
    }
}
