//! What is known of an event that was run before: what operators said of its parked steps, and what
//! had become of the others by then.

use std::collections::BTreeMap;

use domain::{
    id::{EventId, StepId},
    process::{Failure, ParkedStep, Process, Status, Taken},
};

use super::plan::{Failed, Outcome};

/// The code of a step that an operator has skipped: a no that every plan takes.
pub(super) const SKIPPED: &str = "step.skipped";

/// By step.
#[derive(Default)]
pub(super) struct Verdicts {
    said: BTreeMap<StepId, ParkedStep>,
    taken: BTreeMap<StepId, Taken>,
}

impl Verdicts {
    pub(super) fn of(process: &Process, event_id: EventId) -> Self {
        let mut verdicts = Self::default();
        for (step_id, parked) in process.decided(event_id) {
            let taken = parked.taken.iter().map(|taken| (taken.step_id, taken.clone()));
            verdicts.taken.extend(taken);
            verdicts.said.insert(*step_id, parked.clone());
        }
        verdicts
    }

    /// What became of a step that need not be taken again.
    pub(super) fn taken(&self, step_id: StepId) -> Option<Outcome> {
        self.taken.get(&step_id).map(Outcome::of)
    }

    /// Why a step was skipped, if it was.
    pub(super) fn skipped(&self, step_id: StepId) -> Option<&str> {
        let said = self.said.get(&step_id).filter(|said| said.status == Status::Skipped)?;
        Some(said.reason.as_deref().unwrap_or_default())
    }

    pub(super) fn skips(&self, event_id: EventId, failed: &Failed) -> bool {
        let step_id = StepId::of(event_id, &failed.name, failed.target.as_ref());
        self.skipped(step_id).is_some()
    }

    /// Why a step waits that no operator has decided about yet. It is not tried on the side, for the
    /// operator who decides about it must know what has become of it.
    pub(super) fn waits(&self, step_id: StepId) -> Option<&Failure> {
        let said = self.said.get(&step_id).filter(|said| said.status == Status::Parked)?;
        Some(&said.failure)
    }

    /// What makes the command's id of a step.
    pub(super) fn name(&self, step_id: StepId, name: &str) -> String {
        match self.attempt(step_id) {
            0 => name.to_owned(),
            attempt => format!("{name}#{attempt}"),
        }
    }

    pub(super) fn attempt(&self, step_id: StepId) -> u32 {
        self.said.get(&step_id).map_or(0, |said| said.attempt)
    }
}
