//! What the processes of a shard could not do: steps that failed for good, until an operator has
//! them tried again or skipped. One stream per shard whose events the processes follow.

mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

use crate::{aggregate::Aggregate, id::StreamId, shard::ShardId};

pub use command::*;
pub use event::*;
pub use rejection::{OPEN_MAX, Rejection};
pub use state::*;

impl Aggregate for Process {
    const NAME: &'static str = "process";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "cb27fdea2f38ab0f";

    type Id = ShardId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::{
            id::StepId,
            testing::{
                NOW,
                sample::{step, taken},
                uuid,
            },
        };
        let step_id = StepId::new(uuid(6));
        let failure = Failure {
            code: "stream_unreadable".into(),
            detail: "the stream holds an event that this release cannot read".into(),
        };
        let by: String = "key:00000000-0000-0000-0000-000000000001".into();
        vec![
            Event::StepParked {
                step_id,
                step: Box::new(step()),
                failure: failure.clone(),
                attempt: 0,
                parked_at: NOW,
                taken: vec![],
            },
            Event::StepParked {
                step_id,
                step: Box::new(step()),
                failure,
                attempt: 0,
                parked_at: NOW,
                taken: taken(),
            },
            Event::StepRetried { step_id, attempt: 1, by: by.clone() },
            Event::StepSkipped { step_id, reason: "sold out anyway".into(), by },
            Event::EventSettled { event_id: step().event_id },
        ]
    }
}

impl ShardId {
    /// The stream of what the processes that follow this shard could not do.
    #[must_use]
    pub fn process_stream(self) -> StreamId {
        StreamId::of::<Process>(&self)
    }
}
