//! Process managers: they follow the log and turn events into commands. A new one is a file with its `mod`,
//! and a line in the list of all.
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
mod manager;
mod parked;
mod permits;
mod plan;
mod progress;
mod shard;
mod verdicts;
mod worker;

#[cfg(test)]
mod tests;

use infra::{codec, log::EventRecord};

use manager::AnyProcessManager;
pub use manager::Managers;
pub use shard::{Follow, FollowFailed};

/// All that there are. An event that several want is run by each; what they call their steps on one stream
/// must differ then, for the name makes the command's id.
const ALL: &[AnyProcessManager] = &[
    AnyProcessManager::of::<catalogue::CatalogueProcess>(),
    AnyProcessManager::of::<checkout::CheckoutProcess>(),
];

/// Those that want an event.
fn wanting(event: &EventRecord) -> impl Iterator<Item = &'static AnyProcessManager> {
    let kind = event.stream.stream_type();
    let name = codec::event_name(&event.event_type).unwrap_or_default();
    let wants = move |it: &&AnyProcessManager| kind.is_some_and(|kind| (it.wants)(kind, name));
    ALL.iter().filter(wants)
}
