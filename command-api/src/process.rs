//! Process managers: they follow the log and turn events into commands.
//!
//! An event asks for a [`plan::Plan`], which is pure: steps that run side by side, and what to do
//! with their outcomes. [`worker`] runs plans, [`shard`] feeds it with the events of a shard.
//!
//! Events come at least once. Every command's id is derived from the event, the step and whom it
//! tells, so that a step that was taken is found again and not taken twice; what a manager waits for
//! is written in the aggregates, and what it cannot do in the log ([`parked`]). Whoever needs to see what
//! an event leads to has the engine wait for it (`engine/reactions.rs`).
//! **Invariant:** no process manager has a state of its own, and none swallows a no.

mod catalogue;
pub(crate) mod checkout;
mod commit_stream;
mod list;
mod manager;
mod managers;
mod parked;
mod permits;
mod plan;
mod progress;
mod shard;
mod verdicts;
mod worker;

#[cfg(test)]
mod tests;

pub use managers::Managers;
pub use shard::{Follow, FollowFailed};
