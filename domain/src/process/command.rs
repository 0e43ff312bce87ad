//! What can be asked about the steps of a shard's processes.

use serde::{Deserialize, Serialize};

use crate::{
    id::{EventId, StepId},
    process::{Failure, Step, Taken},
};

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
