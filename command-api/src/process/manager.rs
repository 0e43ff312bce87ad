//! What a process manager is, and what all of them work with.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{StreamType, envelope::Recorded};
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
#[async_trait]
pub(super) trait AnyProcessManager: Send + Sync {
    fn name(&self) -> &'static str;

    fn wants(&self, kind: StreamType, event: &str) -> bool;

    /// [`Managers::run`].
    async fn run(
        &self,
        managers: &Managers,
        event: &Recorded,
        verdicts: &Verdicts,
        permit: &mut Permit,
    ) -> Result<(), Unfinished>;
}

#[async_trait]
impl<P: ProcessManager> AnyProcessManager for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn wants(&self, kind: StreamType, event: &str) -> bool {
        P::wants(kind, event)
    }

    async fn run(
        &self,
        managers: &Managers,
        event: &Recorded,
        verdicts: &Verdicts,
        permit: &mut Permit,
    ) -> Result<(), Unfinished> {
        managers.run::<P>(event, verdicts, permit).await
    }
}
