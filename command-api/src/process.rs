//! Process managers: they follow the log and turn events into commands.
//!
//! An event asks for a [`plan::Plan`], which is pure: steps that run side by side, and what to do
//! with their outcomes. [`worker`] runs plans, [`shard`] feeds it with the events of a shard.
//!
//! Events come at least once. Every command's id is derived from the event, the step and whom it
//! tells, so that a step that was taken is found again and not taken twice; what a manager waits for
//! is written in the aggregates, and what it cannot do in the log ([`parked`]).
//! **Invariant:** no process manager has a state of its own, and none swallows a no.

pub(crate) mod catalogue;
pub(crate) mod checkout;
mod feed;
mod manager;
mod parked;
mod places;
mod plan;
mod progress;
mod shard;
mod verdicts;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::shard::ShardId;
use infra::{
    clock::Clock,
    log::{EventLog, progress::Progress},
};

pub use shard::{Follow, FollowFailed};
pub(crate) use worker::{Cause, actor};

use crate::{engine::Engine, payment::Desk};

/// What process managers work with. Cheap to clone.
#[derive(Clone)]
pub struct Managers {
    pub engine: Engine,
    pub log: Arc<dyn EventLog>,
    pub progress: Progress,
    pub desk: Desk,
    pub clock: Clock,
}

impl Managers {
    /// One follower per shard; the caller runs each as a task.
    #[must_use]
    pub fn followers(&self) -> Vec<Follow> {
        (0..self.log.shard_count())
            .map(|index| Follow::new(ShardId::new(index), self.clone()))
            .collect()
    }
}
