//! Runs plans: reads what they need, takes their steps one round after the other.
//!
//! A business no is an outcome that the plan deals with, or nobody's business; then the step is
//! parked, as is one that no trying again can do ([`super::parked`]). All else is tried again until it
//! works; a provider that does not answer is another matter, for its payment knows itself when it is
//! to be asked again. **Invariant:** an event is done with when each of its steps is done, refused with somebody
//! to take the no, or parked.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use domain::{
    Listed,
    addressed::Addressed,
    envelope::{Recorded, Revision},
    id::{CausationId, CommandId, CorrelationId, EventId, StepId, StreamId},
};
use futures_util::future::join_all;
use infra::{
    retry::{Policy, retry},
    telemetry::emit,
};
use tokio::time::Instant;

use super::{
    manager::{Managers, ProcessManager},
    permits::Permit,
    plan::{Action, Failed, Outcome, Plan, Step, Unfinished},
    verdicts::{SKIPPED, Verdicts},
};
use crate::{
    engine::{
        self, Answer, Consistency, PROCESS_ACTORS, ReadError, Snapshot, Submission, SubmitError,
    },
    metrics::Reacted,
    payment::{Authorisation, CallFailed},
};

/// How long one try of a command may take.
const SUBMIT_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often money is tried to be given back, within some ten minutes, before somebody has to look.
const VOID: Policy = Policy {
    tries_max: Some(25),
    wait_min: Duration::from_millis(200),
    wait_max: Duration::from_secs(30),
};

/// A read that gave nothing to go on with.
#[derive(Debug, thiserror::Error)]
enum ReadFailed {
    #[error(transparent)]
    Engine(#[from] ReadError),
    /// It shows less than the event that asked for it; the engine is about to catch up.
    #[error("the stream is not there yet")]
    Behind,
}

/// The event because of which a process acts.
pub(super) struct Cause {
    event_id: EventId,
    correlation_id: CorrelationId,
    traceparent: Option<Arc<str>>,
    actor: Arc<str>,
}

impl Cause {
    /// An event of which no more is known.
    pub(super) fn by_id(event_id: EventId, process: &str) -> Self {
        let correlation_id = CorrelationId::new(event_id.uuid());
        Self { event_id, correlation_id, traceparent: None, actor: actor(process) }
    }

    fn of(event: &Recorded, process: &str) -> Self {
        let provenance = &event.provenance;
        Self {
            event_id: event.id,
            correlation_id: provenance.correlation_id,
            traceparent: provenance.traceparent.clone(),
            actor: actor(process),
        }
    }
}

/// As events name a process that acts.
pub(super) fn actor(process: &str) -> Arc<str> {
    format!("{PROCESS_ACTORS}{process}").into()
}

/// What a step submits. `name` tells it from the other steps that the event leads to. Two commands under
/// one id are told apart by the command's hash, be it that a release plans otherwise than the last one.
pub(super) fn submission(cause: &Cause, name: &str, addressed: Addressed) -> Submission {
    let command_id = CommandId::of_step(cause.event_id, name, addressed.stream());
    let mut submission = Submission::new(addressed, command_id, Arc::clone(&cause.actor));
    submission.correlation_id = cause.correlation_id;
    submission.causation_id = CausationId::new(cause.event_id.uuid());
    submission.traceparent = cause.traceparent.clone();
    submission
}

impl Managers {
    /// Does all that an event asks of a process.
    ///
    /// # Errors
    /// The steps that cannot be done, none of which `verdicts` told to be left out.
    pub(super) async fn run<P: ProcessManager>(
        &self,
        event: &Recorded,
        verdicts: &Verdicts,
        permit: &mut Permit,
    ) -> Result<(), Unfinished> {
        let began = Instant::now();
        let cause = Cause::of(event, P::NAME);
        let mut plan = match permit.hold(P::load(self, event)).await {
            Ok(loaded) => P::react(event, loaded),
            Err(failed) if verdicts.skips(event.id, &failed) => Plan::default(),
            Err(failed) => return Err(failed.into()),
        };
        let mut kept = Vec::new();
        while !plan.steps.is_empty() {
            let Plan { steps, next } = plan;
            let ids: Vec<_> = steps.iter().map(|step| step.id(event.id)).collect();
            let taking = steps.iter().zip(&ids);
            let taking = join_all(taking.map(|(step, id)| self.step(&cause, verdicts, step, *id)));
            let is_outside = steps.iter().any(|step| step.action.is_outside());
            let outcomes =
                if is_outside { permit.outside(taking).await } else { permit.hold(taking).await };
            let (mut known, mut failed) = (Vec::new(), Vec::new());
            for ((step, id), outcome) in steps.iter().zip(ids).zip(outcomes) {
                match outcome.and_then(|outcome| taken::<P>(outcome, step, &next)) {
                    Ok(outcome) => {
                        kept.extend(outcome.kept(id));
                        known.push(outcome);
                    }
                    Err(error) => failed.push(error),
                }
            }
            if !failed.is_empty() {
                return Err(Unfinished { failed, taken: kept });
            }
            plan = P::proceed(next, &known);
        }
        emit(Reacted { process: P::NAME, elapsed: began.elapsed() });
        Ok(())
    }

    /// A stream that has reached `revision`; that is all the news it needs.
    pub(super) async fn read<A: Listed>(
        &self,
        stream: &StreamId,
        revision: Revision,
    ) -> Result<Snapshot<Arc<A>>, Failed> {
        self.read_as(stream, revision, Consistency::Serializable).await
    }

    pub(super) async fn read_as<A: Listed>(
        &self,
        stream: &StreamId,
        revision: Revision,
        consistency: Consistency,
    ) -> Result<Snapshot<Arc<A>>, Failed> {
        let may_retry = |error: &ReadFailed| match error {
            ReadFailed::Engine(error) => !error.is_final(),
            ReadFailed::Behind => true,
        };
        let read = until_done(may_retry, || async {
            let (snapshot, _) = self.engine.show_stream::<A>(stream, consistency).await?;
            if snapshot.revision >= revision { Ok(snapshot) } else { Err(ReadFailed::Behind) }
        });
        read.await.map_err(|error| {
            Failed::new("read", Some(stream.clone()), "stream_unreadable", error.to_string())
        })
    }

    async fn step(
        &self,
        cause: &Cause,
        verdicts: &Verdicts,
        step: &Step,
        step_id: StepId,
    ) -> Result<Outcome, Failed> {
        if let Some(reason) = verdicts.skipped(step_id) {
            if self.stands(step).await {
                return Ok(Outcome::Done);
            }
            return Ok(Outcome::Refused { code: SKIPPED.to_owned(), detail: reason.to_owned() });
        }
        if let Some(failure) = verdicts.waits(step_id) {
            let (name, target) = (step.name.clone(), step.target().cloned());
            return Err(Failed { name, target, failure: failure.clone() });
        }
        if let Some(outcome) = verdicts.taken(step_id) {
            return Ok(outcome);
        }
        match &step.action {
            Action::Submit(addressed) => {
                let name = verdicts.name(step_id, &step.name);
                let submission = submission(cause, &name, Addressed::clone(addressed));
                self.take(&step.name, submission).await
            }
            Action::Authorise(request) => Ok(self.authorise(request).await),
            Action::Void(payment_id) => {
                let voided =
                    retry(VOID, |_: &CallFailed| true, || self.desk.void(*payment_id)).await;
                voided.map(|()| Outcome::Done).map_err(|error| {
                    Failed::new(&step.name, None, "provider_unavailable", error.to_string())
                })
            }
        }
    }

    /// Whether all that a step asks for is so already: somebody else may have done it meanwhile, as a
    /// client does that tries its checkout again. To go on as if it were refused would undo half of it.
    async fn stands(&self, step: &Step) -> bool {
        let Action::Submit(addressed) = &step.action else { return false };
        let may_retry = |error: &ReadError| !error.is_final();
        let streams = BTreeSet::from([addressed.stream().clone()]);
        let read =
            until_done(may_retry, || self.engine.read_many(&streams, Consistency::Linearizable));
        // What cannot be read is for the operator alone to judge.
        read.await.is_ok_and(|found| found.is_settled(addressed, self.clock.now()))
    }

    async fn take(&self, name: &str, submission: Submission) -> Result<Outcome, Failed> {
        let target = submission.stream().clone();
        match self.submit(submission).await.map(|answer| answer.outcome) {
            Ok(engine::Outcome::Committed { .. } | engine::Outcome::Unchanged { .. }) => {
                Ok(Outcome::Done)
            }
            Ok(engine::Outcome::Rejected { code, detail, .. }) => {
                Ok(Outcome::Refused { code, detail })
            }
            Err(error) => {
                let code = match error {
                    SubmitError::KeyReused => "command_id_reused",
                    SubmitError::StreamUnreadable => "stream_unreadable",
                    _ => "command_refused",
                };
                Err(Failed::new(name, Some(target), code, error.to_string()))
            }
        }
    }

    /// Only errors that are for good come back.
    pub(super) async fn submit(&self, submission: Submission) -> Result<Answer, SubmitError> {
        let submission = Arc::new(submission);
        let may_retry = |error: &SubmitError| !error.is_final();
        until_done(may_retry, || {
            self.engine.submit(Arc::clone(&submission), Instant::now() + SUBMIT_WAIT_MAX)
        })
        .await
    }

    /// Asks once, and not at all when the payment's time is over: what was authorised unheard is
    /// voided when it expires.
    async fn authorise(&self, request: &Authorisation) -> Outcome {
        if request.expires_at <= self.clock.now() {
            return Outcome::Silence;
        }
        self.desk.authorise(request).await.map_or(Outcome::Silence, Outcome::Decided)
    }
}

/// A no that nobody takes is a failure: no process ever swallows one.
fn taken<P: ProcessManager>(
    outcome: Outcome,
    step: &Step,
    next: &P::Next,
) -> Result<Outcome, Failed> {
    match outcome {
        Outcome::Refused { code, detail } if code != SKIPPED && !P::takes(next, &code) => {
            Err(Failed::new(&step.name, step.target().cloned(), &code, detail))
        }
        outcome => Ok(outcome),
    }
}

/// Tries for ever, unless an error is for good.
async fn until_done<T, E, F>(
    may_retry: impl FnMut(&E) -> bool,
    operation: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    retry(Policy::PATIENT, may_retry, operation).await
}
