//! The rules of parked steps: what failed stays until somebody has looked at it. Processes send
//! what they send at least once, so each command finds nothing to do the second time.

use crate::{
    aggregate::Decide,
    id::StepId,
    process::{
        Command, Event, Failure, OPEN_MAX, ParkedStep, Process, Rejection, Status, Step, Taken,
    },
    timestamp::Timestamp,
};

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
