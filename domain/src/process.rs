//! What the processes of a shard could not do: steps that failed for good, until an operator has
//! them tried again or skipped. One stream per shard whose events the processes follow.
//!
//! What failed stays until somebody has looked at it. Processes send what they send at least once, so
//! each command finds nothing to do the second time.

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Evolve, Refusal, RejectionKind},
    id::{EventId, StepId, StreamId},
    personal::{Texts, texts},
    shard::ShardId,
    timestamp::Timestamp,
};

#[cfg(test)]
mod tests;

/// Steps that one shard's processes may have parked; with one more they wait until there is room,
/// for a step must never be lost.
pub const OPEN_MAX: usize = 1_000;

/// Steps of settled events that are remembered; the oldest are forgotten first.
const SETTLED_MAX: usize = 500;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// The step failed for good at this attempt, when these others of its event had been taken.
    Park { step_id: StepId, step: Box<Step>, failure: Failure, attempt: u32, taken: Vec<Taken> },
    /// An operator wants it tried again.
    Retry { step_id: StepId, by: String },
    /// An operator takes it for refused, so that its process goes on from there.
    Skip { step_id: StepId, reason: String, by: String },
    /// All that the event asked for is done or skipped.
    Settle { event_id: EventId },
}

/// The stored format. Nothing is renamed, ever; the golden files are the judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A step of a process failed for good: an operator has to decide.
    StepParked {
        /// Which step of which event.
        step_id: StepId,
        /// The step, and the event that asked for it.
        step: Box<Step>,
        /// Why it failed.
        failure: Failure,
        /// 0 for the first; the same again after as many retries.
        attempt: u32,
        /// Since when it waits.
        parked_at: Timestamp,
        /// What has become of the event's other steps, unless that was told when another one of them
        /// was parked: the engine forgets it before an operator comes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        taken: Vec<Taken>,
    },
    /// An operator has it tried again.
    StepRetried {
        /// The parked step.
        step_id: StepId,
        /// The attempt that begins.
        attempt: u32,
        /// The operator, as `key:<id>`.
        by: String,
    },
    /// An operator takes it for refused, and its process goes on from there.
    StepSkipped {
        /// The parked step.
        step_id: StepId,
        /// As the operator typed it.
        reason: String,
        /// The operator, as `key:<id>`.
        by: String,
    },
    /// All that an event asked for is done or skipped.
    EventSettled {
        /// The event.
        event_id: EventId,
    },
}

/// A step, and the event that asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The process, such as `checkout`.
    pub process: String,
    /// What the process calls the step.
    pub name: String,
    /// Whom it wanted to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<StreamId>,
    /// The event that asked for it.
    pub event_id: EventId,
    /// Of that event.
    pub event_type: String,
    /// In which that event stands.
    pub stream: StreamId,
    /// In which that stream lies.
    pub shard: u32,
    /// The epoch of the writer whose event it is: a copy of another epoch does not count.
    pub epoch: i64,
    /// The event stands in the log from here on, and before `offset_end`.
    pub offset: i64,
    /// Where the next commit begins.
    pub offset_end: i64,
}

/// A step that need not be taken again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// Which one.
    pub step_id: StepId,
    /// The no that its process goes on from; without one it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
}

/// Why a step cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// For machines; stable.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// What is open: the parked steps, and beside them those of the same events that were skipped, for
/// these must be known until the event is done with.
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
    fn is_settled_after(&self, step_id: StepId, attempt: u32) -> bool {
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

impl Decide for Process {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Park { step_id, step, failure, attempt, taken } => {
                self.park(*step_id, step, failure, *attempt, taken, now)
            }
            Command::Retry { step_id, by } => self.retry(*step_id, by),
            Command::Skip { step_id, reason, by } => self.skip(*step_id, reason, by),
            Command::Settle { event_id } => {
                let known = self.of_event(*event_id).next().is_some();
                Ok(if known { vec![Event::EventSettled { event_id: *event_id }] } else { vec![] })
            }
        }
    }
}

impl Aggregate for Process {
    const NAME: &'static str = "process";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "cb27fdea2f38ab0f";
    const TEXTS: &'static [Texts] = texts! {
        "event_settled": [] [];
        "step_parked": ["failure.detail", "taken.refused.detail"]
            ["failure.code", "taken.refused.code", "step.event_type", "step.name", "step.process", "step.stream", "step.target"];
        "step_retried": [] ["by"];
        "step_skipped": ["reason"] ["by"];
    };

    type Id = ShardId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::testing::{
            NOW,
            sample::{step, taken},
            uuid,
        };
        let step_id = StepId::new(uuid(6));
        let parked = |taken| Event::StepParked {
            step_id,
            step: Box::new(step()),
            failure: Failure {
                code: "stream_unreadable".into(),
                detail: "the stream holds an event that this release cannot read".into(),
            },
            attempt: 0,
            parked_at: NOW,
            taken,
        };
        let by: String = "key:00000000-0000-0000-0000-000000000001".into();
        vec![
            parked(vec![]),
            parked(taken()),
            Event::StepRetried { step_id, attempt: 1, by: by.clone() },
            Event::StepSkipped { step_id, reason: "sold out anyway".into(), by },
            Event::EventSettled { event_id: step().event_id },
        ]
    }
}

impl Process {
    fn park(
        &self,
        step_id: StepId,
        step: &Step,
        failure: &Failure,
        attempt: u32,
        taken: &[Taken],
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let before = self.step(step_id);
        let mut all_taken = before.map(|parked| parked.taken.clone()).unwrap_or_default();
        let is_told = |id| {
            self.of_event(step.event_id)
                .any(|(_, parked)| parked.taken.iter().any(|t| t.step_id == id))
        };
        let told_before = all_taken.len();
        all_taken.extend(taken.iter().filter(|taken| !is_told(taken.step_id)).cloned());
        let (failure, parked_at) = match before {
            // The event is done with: what is told of late brings nothing back.
            None if self.is_settled_after(step_id, attempt) => return Ok(vec![]),
            None if self.steps().len() >= OPEN_MAX => return Err(Rejection::Full),
            None => (failure, now),
            // An earlier attempt that is told of late.
            Some(parked) if attempt < parked.attempt => return Ok(vec![]),
            Some(parked) => match parked.status {
                Status::Retried => (failure, now),
                // It waits on, and knows more of the others.
                Status::Parked if all_taken.len() > told_before => {
                    (&parked.failure, parked.parked_at)
                }
                Status::Parked | Status::Skipped => return Ok(vec![]),
            },
        };
        let (step, failure) = (Box::new(step.clone()), failure.clone());
        Ok(vec![Event::StepParked { step_id, step, failure, attempt, parked_at, taken: all_taken }])
    }

    fn retry(&self, step_id: StepId, by: &str) -> Result<Vec<Event>, Rejection> {
        let parked = self.known(step_id)?;
        match parked.status {
            Status::Parked => {
                let attempt = parked.attempt.saturating_add(1);
                Ok(vec![Event::StepRetried { step_id, attempt, by: by.to_owned() }])
            }
            Status::Retried => Ok(vec![]),
            Status::Skipped => Err(Rejection::NotParked { status: parked.status }),
        }
    }

    fn skip(&self, step_id: StepId, reason: &str, by: &str) -> Result<Vec<Event>, Rejection> {
        let parked = self.known(step_id)?;
        match parked.status {
            Status::Parked => {
                let (reason, by) = (reason.to_owned(), by.to_owned());
                Ok(vec![Event::StepSkipped { step_id, reason, by }])
            }
            Status::Skipped => Ok(vec![]),
            // It may be done by now, so nobody may go on as if it were refused.
            Status::Retried => Err(Rejection::NotParked { status: parked.status }),
        }
    }

    fn known(&self, step_id: StepId) -> Result<&ParkedStep, Rejection> {
        self.step(step_id).ok_or(Rejection::NotFound)
    }
}

impl ShardId {
    /// The stream of what the processes that follow this shard could not do.
    #[must_use]
    pub fn process_stream(self) -> StreamId {
        StreamId::of::<Process>(&self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no such parked step; it may be done by now")]
    NotFound,
    #[error("the step is {} already: look again in a moment", .status.as_str())]
    NotParked { status: Status },
    #[error("{OPEN_MAX} steps of this shard are parked: retry or skip some")]
    Full,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound};
        match self {
            Self::NotFound => (NotFound, "step.not_found"),
            Self::NotParked { .. } => (Conflict, "step.not_parked"),
            Self::Full => (Conflict, "step.full"),
        }
    }
}
