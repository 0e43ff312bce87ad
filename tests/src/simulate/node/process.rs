//! What a crash of a node loses, and what there is for it to do.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use command_api::engine::{effect::Role, step::Machine, store::Batch};
use domain::timestamp::Timestamp;
use infra::log::Offset;

use super::super::partition::{Partition, Producer};

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

impl Process {
    pub(in crate::simulate) fn tick_due(&self, now: Timestamp, skew: i64) -> Timestamp {
        let soon = now.plus(Duration::from_millis(1));
        let wakes = self.wakes_at(skew).map(|at| at.max(soon));
        wakes.map_or(self.tick_at, |at| at.min(self.tick_at))
    }

    /// When the machine has something to do, by the world's clock.
    pub(in crate::simulate) fn wakes_at(&self, skew: i64) -> Option<Timestamp> {
        self.machine.wakes_at().map(|at| Timestamp::from_micros(at.as_micros() - skew))
    }

    pub(in crate::simulate) fn has_unsaved(&self) -> bool {
        self.machine.status().seq != self.saved_seq
    }

    /// How many records may be read now.
    pub(in crate::simulate) fn readable(&self, partition: &Partition) -> usize {
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

    pub(in crate::simulate) fn learns(&self, role: Role) -> bool {
        self.machine.role() != role
    }

    /// Nothing is under way, neither to the log nor from it.
    pub(in crate::simulate) fn is_at_rest(&self, partition: &Partition) -> bool {
        let wire = self.writer.as_ref().is_none_or(|w| w.wire.is_empty() && w.reports.is_empty());
        let asks = self.requests.is_empty() && self.readable(partition) == 0;
        let machine = match self.machine.role() {
            Role::Owner => self.machine.is_serving() && self.machine.status().pending == 0,
            Role::Standby | Role::Away => self.machine.is_idle(),
        };
        wire && asks && machine
    }
}
