//! The stored format. Nothing is renamed, ever; the golden files are the judge.

use serde::{Deserialize, Serialize};

use crate::{
    id::{EventId, StepId, StreamId},
    timestamp::Timestamp,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    StepParked {
        step_id: StepId,
        step: Box<Step>,
        failure: Failure,
        /// 0 for the first; the same again after as many retries.
        attempt: u32,
        parked_at: Timestamp,
        /// What has become of the event's other steps, unless that was told when another one of them
        /// was parked: the engine forgets it before an operator comes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        taken: Vec<Taken>,
    },
    StepRetried {
        step_id: StepId,
        /// The attempt that begins.
        attempt: u32,
        by: String,
    },
    StepSkipped {
        step_id: StepId,
        reason: String,
        by: String,
    },
    /// All that an event asked for is done or skipped.
    EventSettled {
        event_id: EventId,
    },
}

/// A step, and the event that asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub process: String,
    pub name: String,
    /// Whom it wanted to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<StreamId>,
    pub event_id: EventId,
    pub event_type: String,
    pub stream: StreamId,
    pub shard: u32,
    /// The epoch of the writer whose event it is: a copy of another epoch does not count.
    pub epoch: i64,
    /// The event stands in the log from here on, and before `offset_end`.
    pub offset: i64,
    pub offset_end: i64,
}

/// A step that need not be taken again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub step_id: StepId,
    /// The no that its process goes on from; without one it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
}

/// Why a step cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub code: String,
    pub detail: String,
}
