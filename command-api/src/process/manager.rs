//! What a process manager is, and what all of them work with.

use std::sync::Arc;

use domain::{StreamType, envelope::Recorded};
use futures_util::future::BoxFuture;
use infra::{
    clock::Clock,
    log::{EventLog, progress::Progress},
};

use super::{
    permits::Permit,
    plan::{Failed, Outcome, Plan, Unfinished},
    verdicts::Verdicts,
};
use crate::{engine::Engine, payment::Desk};

/// What steps are taken with. Cheap to clone.
#[derive(Clone)]
pub struct Managers {
    pub engine: Engine,
    pub log: Arc<dyn EventLog>,
    pub progress: Progress,
    pub desk: Desk,
    pub clock: Clock,
}

/// Turns events into commands. All but `load` is pure.
pub(super) trait ProcessManager: Send + Sync + 'static {
    /// As events name who acts, and as operators see it.
    const NAME: &'static str;

    /// What is read before it reacts.
    type Loaded: Send;
    /// What the outcomes of its steps are for.
    type Next: Default + Send + Sync;

    /// Whether it reacts to events of this name in streams of this kind; others are not even decoded.
    /// One that this release cannot read is parked if it is wanted.
    fn wants(kind: StreamType, event: &str) -> bool;

    fn load(
        managers: &Managers,
        event: &Recorded,
    ) -> impl Future<Output = Result<Self::Loaded, Failed>> + Send;

    /// What an event asks for.
    fn react(event: &Recorded, loaded: Self::Loaded) -> Plan<Self::Next>;

    /// Whether [`ProcessManager::proceed`] deals with a no that has this code. Any other no is nobody's
    /// business, so somebody has to look at it.
    fn takes(next: &Self::Next, code: &str) -> bool;

    /// What the outcomes of a plan's steps, in their order, lead to.
    fn proceed(next: Self::Next, outcomes: &[Outcome]) -> Plan<Self::Next>;
}

/// A process manager, whatever its steps are.
pub(super) struct AnyProcessManager {
    pub(super) name: &'static str,
    pub(super) wants: fn(StreamType, &str) -> bool,
    pub(super) run: Run,
}

/// [`Managers::run`].
type Run = for<'a> fn(
    &'a Managers,
    &'a Recorded,
    &'a Verdicts,
    &'a mut Permit,
) -> BoxFuture<'a, Result<(), Unfinished>>;

impl AnyProcessManager {
    pub(super) const fn of<P: ProcessManager>() -> Self {
        let run: Run = |managers, event, verdicts, permit| {
            Box::pin(managers.run::<P>(event, verdicts, permit))
        };
        Self { name: P::NAME, wants: P::wants, run }
    }
}
