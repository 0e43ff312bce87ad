//! Steps that cannot be done: put aside where operators see them, and taken up again when they say so.
//!
//! A parked step is an event in the stream of its shard's processes ([`domain::process`]), which holds
//! where the event stands that asked for it. Once an operator has it tried again or skipped, that
//! event is run again, with the operators' verdicts on its steps. What was done of it is not done again:
//! it stands beside the parked step, for the engine knows a command id for a day only. A step that is
//! tried again has a new command id, for the old one's refusal is kept as long.

use std::{ops::Range, sync::Arc};

use domain::{
    Event,
    addressed::Addressed,
    envelope::Recorded,
    id::{CausationId, CommandId, CorrelationId, EventId, StepId},
    process::{self, Failure, Process, Status},
    shard::ShardId,
};
use infra::{
    codec,
    log::{self, Body, EventRecord, LogRecord, Offset, Prefetch},
    retry::{Policy, retry},
    telemetry::{chain, emit},
};
use tokio::time::Duration;
use uuid::Uuid;

use super::{
    manager::Managers,
    permits::Permit,
    plan::{Failed, Unfinished},
    verdicts::Verdicts,
    wanting,
    worker::actor,
};
use crate::{
    engine::{self, Consistency, ReadError, Snapshot, Submission, SubmitError},
    metrics::{EventsSettled, StepParked},
};

/// The step that makes an event of a record.
const DECODE: &str = "decode";

/// How long one read of the log waits for a record that is known to be there.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);
const RECORDS_MAX: usize = 256;

/// An event as it came from the log, and where it stands there.
pub(super) struct Delivered {
    pub(super) event: EventRecord,
    pub(super) shard: ShardId,
    pub(super) span: Range<Offset>,
}

impl Managers {
    /// Does all that an event asks for, and parks what cannot be done. `verdicts` are of the time when
    /// the shard's events began to be followed: an event of before may have been decided about.
    pub(super) async fn handle(
        &self,
        delivered: &Delivered,
        verdicts: &Verdicts,
        mut permit: Permit,
    ) {
        // Boxed is what hardly ever happens: every event would have to bring the room for it.
        match codec::recorded(&delivered.event) {
            Ok(recorded) => match &recorded.event {
                Event::Process(happened) => {
                    Box::pin(self.resume(&recorded, happened, &mut permit)).await;
                }
                _ => {
                    self.run_or_park(delivered, &recorded, verdicts, &mut permit).await;
                }
            },
            Err(error) => {
                Box::pin(self.unreadable(delivered, &error, verdicts, &mut permit)).await;
            }
        }
    }

    /// Whether an operator has said that nobody needs to read the event.
    async fn unreadable(
        &self,
        delivered: &Delivered,
        error: &codec::DecodeError,
        verdicts: &Verdicts,
        permit: &mut Permit,
    ) -> bool {
        let failed = Failed::new(DECODE, None, "event_unreadable", chain(error).to_string());
        if verdicts.skips(delivered.event.id, &failed) {
            return true;
        }
        self.park_all(delivered, "unknown", failed.into(), verdicts, permit).await;
        false
    }

    /// What operators have decided about the steps of a shard's events so far.
    pub(super) async fn decided(&self, shard: ShardId) -> Arc<Process> {
        let read = retry(
            Policy::PATIENT,
            |_: &ReadError| true,
            || self.engine.read::<Process>(&shard, Consistency::Linearizable),
        );
        // It is asked until it answers.
        read.await.map_or_else(|_never| Arc::default(), |process| process.state)
    }

    async fn run_or_park(
        &self,
        delivered: &Delivered,
        recorded: &Recorded,
        verdicts: &Verdicts,
        permit: &mut Permit,
    ) -> bool {
        let mut is_done = true;
        for manager in wanting(&delivered.event) {
            if let Err(unfinished) = (manager.run)(self, recorded, verdicts, permit).await {
                let parked = self.park_all(delivered, manager.name, unfinished, verdicts, permit);
                Box::pin(parked).await;
                is_done = false;
            }
        }
        is_done
    }

    /// An operator has decided what becomes of a step.
    async fn resume(&self, event: &Recorded, happened: &process::Event, permit: &mut Permit) {
        let (process::Event::StepRetried { step_id, .. }
        | process::Event::StepSkipped { step_id, .. }) = happened
        else {
            return;
        };
        // Processes write this stream with this release, so it can be read.
        let read = self.read::<Process>(&event.stream, event.revision).await;
        let Ok(Snapshot { state: process, .. }) = read else { return };
        // Otherwise the event is settled by now.
        let Some(parked) = process.step(*step_id) else { return };
        let step = &parked.step;
        let verdicts = Verdicts::of(&process, step.event_id);
        let done = match self.find(step).await {
            Some(delivered) => self.again(&delivered, &verdicts, permit).await,
            // Nothing can be done about an event that the log no longer has.
            None if parked.status == Status::Skipped => true,
            None => {
                let detail = "the log no longer has the event".to_owned();
                let failure = Failure { code: "event_gone".to_owned(), detail };
                let step = Box::new(step.clone());
                let attempt = parked.attempt;
                let step_id = *step_id;
                // What it had come to stands where it was parked before.
                let taken = parked.taken.clone();
                let command = process::Command::Park { step_id, step, failure, attempt, taken };
                permit.outside(self.put_aside(event.id, &parked.step, command)).await;
                false
            }
        };
        if done {
            let command = process::Command::Settle { event_id: step.event_id };
            let submission = self.about_steps(event.id, &step.process, step.shard, command);
            self.submit(submission).await.ok();
            emit(EventsSettled { process: &step.process });
        }
    }

    async fn again(&self, delivered: &Delivered, verdicts: &Verdicts, permit: &mut Permit) -> bool {
        match codec::recorded(&delivered.event) {
            Ok(recorded) => self.run_or_park(delivered, &recorded, verdicts, permit).await,
            Err(error) => self.unreadable(delivered, &error, verdicts, permit).await,
        }
    }

    /// Puts steps aside that are not there yet, and with them, or with one that waits already, what has
    /// become of the others.
    async fn park_all(
        &self,
        delivered: &Delivered,
        process: &str,
        unfinished: Unfinished,
        verdicts: &Verdicts,
        permit: &mut Permit,
    ) {
        let event = &delivered.event;
        let Unfinished { failed, mut taken } = unfinished;
        taken.retain(|taken| verdicts.taken(taken.step_id).is_none());
        for Failed { name, target, failure } in failed {
            let step_id = StepId::of(event.id, &name, target.as_ref());
            match verdicts.waits(step_id) {
                Some(_) if taken.is_empty() => continue,
                Some(_) => {}
                None => emit(StepParked {
                    process,
                    step: &name,
                    stream: &event.stream,
                    failure: &failure,
                }),
            }
            let step = process::Step {
                process: process.to_owned(),
                name,
                target,
                event_id: event.id,
                event_type: event.event_type.to_string(),
                stream: event.stream.clone(),
                shard: delivered.shard.index(),
                epoch: event.place.epoch,
                offset: delivered.span.start,
                offset_end: delivered.span.end,
            };
            let attempt = verdicts.attempt(step_id);
            // Told once: all that is known of an event's steps is read together.
            let taken = std::mem::take(&mut taken);
            let boxed = Box::new(step.clone());
            let command = process::Command::Park { step_id, step: boxed, failure, attempt, taken };
            // Without the permit: where too many steps are parked this waits for operators, whose own
            // events need permits.
            permit.outside(self.put_aside(event.id, &step, command)).await;
        }
    }

    /// Waits where too many are parked: none is ever lost.
    async fn put_aside(&self, cause: EventId, step: &process::Step, command: process::Command) {
        let submission = self.about_steps(cause, &step.process, step.shard, command);
        let parked = retry(
            Policy::PATIENT,
            |_: &NotParked| true,
            || async {
                // A fresh id each time: a refusal is kept under the old one.
                let command_id = CommandId::new(Uuid::now_v7());
                let mut submission = submission.clone();
                submission.command_id = command_id;
                match self.submit(submission).await?.outcome {
                    engine::Outcome::Rejected { .. } => Err(NotParked::Full),
                    engine::Outcome::Committed { .. } | engine::Outcome::Unchanged { .. } => Ok(()),
                }
            },
        );
        // It is tried until it works.
        parked.await.ok();
    }

    fn about_steps(
        &self,
        cause: EventId,
        process: &str,
        shard: u32,
        command: process::Command,
    ) -> Submission {
        let command_id = CommandId::new(Uuid::now_v7());
        let addressed = Addressed::to::<Process>(&ShardId::new(shard), command);
        let mut submission = Submission::new(addressed, command_id, actor(process));
        submission.correlation_id = CorrelationId::new(cause.uuid());
        submission.causation_id = CausationId::new(cause.uuid());
        submission
    }

    /// The event that asked for a step; `None` if the log no longer has it.
    async fn find(&self, step: &process::Step) -> Option<Delivered> {
        let may_retry = |error: &log::ReadError| matches!(error, log::ReadError::Unavailable(_));
        let found = retry(Policy::PATIENT, may_retry, || self.search(step)).await;
        found.ok().flatten()
    }

    async fn search(&self, step: &process::Step) -> Result<Option<Delivered>, log::ReadError> {
        let (shard, span) = (ShardId::new(step.shard), step.offset..step.offset_end);
        let mut reader = self.log.open_reader(shard, span.start, Prefetch::Level).await?;
        let mut next = span.start;
        while next < span.end {
            let records = reader.read(RECORDS_MAX, READ_WAIT_MAX).await?;
            let Some(last) = records.last() else {
                return Err(log::ReadError::Unavailable("the records did not come in time".into()));
            };
            next = last.offset + 1;
            let wanted = |record: LogRecord| match record.body {
                Body::Event(event)
                    if event.id == step.event_id && event.place.epoch == step.epoch =>
                {
                    Some(event)
                }
                _ => None,
            };
            if let Some(event) = records.into_iter().find_map(wanted) {
                return Ok(Some(Delivered { event: *event, shard, span }));
            }
        }
        Ok(None)
    }
}

#[derive(Debug, thiserror::Error)]
enum NotParked {
    #[error(transparent)]
    Engine(#[from] SubmitError),
    #[error("too many steps of this shard are parked")]
    Full,
}
