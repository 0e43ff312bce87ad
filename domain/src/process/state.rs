//! What is open: the parked steps, and beside them those of the same events that were skipped, for
//! these must be known until the event is done with.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    id::{EventId, StepId},
    process::{Event, Failure, Step, Taken},
    timestamp::Timestamp,
};

/// Steps of settled events that are remembered; the oldest are forgotten first.
const SETTLED_MAX: usize = 500;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    steps: BTreeMap<StepId, ParkedStep>,
    /// What was said of events that are done with, the newest last: they may be delivered again.
    settled: VecDeque<(StepId, ParkedStep)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedStep {
    pub step: Step,
    pub failure: Failure,
    pub attempt: u32,
    pub status: Status,
    pub parked_at: Timestamp,
    /// Who had it tried again or skipped last.
    pub by: Option<String>,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// What had become of the event's other steps.
    pub taken: Vec<Taken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Parked,
    Retried,
    Skipped,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Retried => "retried",
            Self::Skipped => "skipped",
        }
    }
}

impl Process {
    #[must_use]
    pub fn steps(&self) -> &BTreeMap<StepId, ParkedStep> {
        &self.steps
    }

    #[must_use]
    pub fn step(&self, step_id: StepId) -> Option<&ParkedStep> {
        self.steps.get(&step_id)
    }

    /// The steps of an event that somebody has decided about, be it done with or not.
    pub fn decided(&self, event_id: EventId) -> impl Iterator<Item = (&StepId, &ParkedStep)> {
        let settled = self.settled.iter().map(|(step_id, parked)| (step_id, parked));
        settled
            .filter(move |(_, parked)| parked.step.event_id == event_id)
            .chain(self.of_event(event_id))
    }

    /// Whether the step's event was done with after somebody had decided about this attempt.
    pub(super) fn is_settled_after(&self, step_id: StepId, attempt: u32) -> bool {
        let mut settled = self.settled.iter().filter(|(id, _)| *id == step_id);
        settled.any(|(_, parked)| parked.status == Status::Skipped || parked.attempt > attempt)
    }

    /// The steps that one event asked for.
    pub fn of_event(&self, event_id: EventId) -> impl Iterator<Item = (&StepId, &ParkedStep)> {
        self.steps.iter().filter(move |(_, parked)| parked.step.event_id == event_id)
    }
}

impl Evolve for Process {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::StepParked { step_id, step, failure, attempt, parked_at, taken } => {
                let parked = ParkedStep {
                    step: Step::clone(step),
                    failure: failure.clone(),
                    attempt: *attempt,
                    status: Status::Parked,
                    parked_at: *parked_at,
                    by: None,
                    reason: None,
                    taken: taken.clone(),
                };
                self.steps.insert(*step_id, parked);
            }
            Event::StepRetried { step_id, attempt, by } => {
                if let Some(parked) = self.steps.get_mut(step_id) {
                    parked.status = Status::Retried;
                    parked.attempt = *attempt;
                    parked.by = Some(by.clone());
                }
            }
            Event::StepSkipped { step_id, reason, by } => {
                if let Some(parked) = self.steps.get_mut(step_id) {
                    parked.status = Status::Skipped;
                    parked.by = Some(by.clone());
                    parked.reason = Some(reason.clone());
                }
            }
            Event::EventSettled { event_id } => {
                let of_event =
                    |_: &StepId, parked: &mut ParkedStep| parked.step.event_id == *event_id;
                let done_with = self.steps.extract_if(.., of_event);
                // Where an event has ended is told by what it has led to.
                let known =
                    done_with.map(|(id, parked)| (id, ParkedStep { taken: vec![], ..parked }));
                self.settled.extend(known);
                while self.settled.len() > SETTLED_MAX {
                    self.settled.pop_front();
                }
            }
        }
    }
}
