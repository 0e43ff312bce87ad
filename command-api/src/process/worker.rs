//! Runs plans: reads what they need, submits their commands, asks the payment provider.
//!
//! A business no is an outcome; anything else that fails is tried again until it works, for an
//! event must never be skipped. A provider that does not answer is another matter: the payment waits,
//! not the event, and knows itself when it is to be asked again.

use std::{future::Future, sync::Arc, time::Duration};

use domain::{
    Event, State,
    envelope::{Recorded, Revision},
    id::{CausationId, CommandId, ProductId, StreamId},
    order::Order,
    payment,
};
use futures_util::future::join_all;
use infra::{
    log::record::RequestHash,
    retry::{Policy, retry},
    telemetry::emit,
};
use tokio::time::Instant;

use super::{
    Managers, catalogue, checkout,
    places::Place,
    plan::{Action, Outcome, Plan, Step},
};
use crate::{
    engine::{self, Consistency, Snapshot, Submission, SubmitError},
    metrics::Reacted,
    payment::{Authorisation, CallFailed},
};

/// How long one try of a command may take.
const SUBMIT_WAIT_MAX: Duration = Duration::from_secs(30);

/// A read that shows less than the event that asked for it; the engine is about to catch up.
#[derive(Debug, thiserror::Error)]
enum ReadFailed {
    #[error(transparent)]
    Engine(#[from] SubmitError),
    #[error("the stream is not there yet")]
    Behind,
}

impl Managers {
    /// Does all that an event asks for.
    pub(super) async fn handle(&self, event: &Recorded, mut place: Place) {
        let began = Instant::now();
        let (process, mut plan) = match &event.event {
            Event::Product(_) => ("catalogue", self.catalogue(event).await),
            _ => ("checkout", self.checkout(event).await),
        };
        let actor: Arc<str> = format!("process:{process}").into();
        while !plan.steps.is_empty() {
            let is_outside = plan.steps.iter().any(|step| step.action.is_outside());
            let steps = plan.steps.into_iter().map(|step| self.step(event, &actor, step));
            let steps = join_all(steps);
            let outcomes = if is_outside { place.outside(steps).await } else { steps.await };
            plan = checkout::proceed(plan.next, &outcomes);
        }
        emit(Reacted { process, elapsed: began.elapsed() });
    }

    async fn checkout(&self, event: &Recorded) -> Plan {
        if let Event::Payment(payment::Event::AskedAgain { attempt, .. }) = &event.event {
            return match self.read(&event.stream, event.revision).await.state {
                State::Payment(payment) => checkout::ask_again(event, &payment, *attempt),
                _ => Plan::default(),
            };
        }
        let order = match checkout::order_of(event) {
            Some(order_id) => self.order(event, &order_id.stream()).await,
            None => Order::default(),
        };
        checkout::react(event, &order, self.desk.name())
    }

    async fn order(&self, event: &Recorded, stream: &StreamId) -> Order {
        // An order that another stream's event names has been placed before.
        let revision = if event.stream == *stream { event.revision } else { 1 };
        match self.read(stream, revision).await.state {
            State::Order(order) => *order,
            _ => Order::default(),
        }
    }

    async fn catalogue(&self, event: &Recorded) -> Plan {
        let Ok(id) = event.stream.key().parse::<ProductId>() else { return Plan::default() };
        let Snapshot { state, revision } = self.read(&event.stream, event.revision).await;
        let State::Product(product) = state else { return Plan::default() };
        let Some(entry) = &product.entry else { return Plan::default() };
        match self.read(&entry.sku.stream(), 0).await.state {
            State::Sku(claim) => catalogue::react(id, &product, revision, &claim),
            _ => Plan::default(),
        }
    }

    /// A stream that has reached `revision`; that is all the news it needs.
    async fn read(&self, stream: &StreamId, revision: Revision) -> Snapshot {
        until_done(
            |_: &ReadFailed| true,
            || async {
                let snapshot = self.engine.read(stream, Consistency::Serializable).await?;
                if snapshot.revision >= revision { Ok(snapshot) } else { Err(ReadFailed::Behind) }
            },
        )
        .await
        .unwrap_or_else(|_| Snapshot { state: stream.stream_type().empty(), revision: 0 })
    }

    async fn step(&self, event: &Recorded, actor: &Arc<str>, step: Step) -> Outcome {
        let Step { name, action } = step;
        match action {
            Action::Submit { stream, command } => {
                let command_id = CommandId::new(event.id.derive(&name));
                let submission = Submission {
                    stream,
                    command: *command,
                    command_id,
                    request_hash: RequestHash::of(&[event.id.uuid().as_bytes(), name.as_bytes()]),
                    expected_revision: None,
                    actor: Arc::clone(actor),
                    correlation_id: event.provenance.correlation_id,
                    causation_id: CausationId::new(event.id.uuid()),
                    traceparent: event.provenance.traceparent.clone(),
                };
                self.submit(submission).await
            }
            Action::Authorise(request) => self.authorise(&request).await,
            Action::Void(payment_id) => {
                let voided = until_done(always, || self.desk.void(payment_id)).await;
                voided.map_or(Outcome::Silence, |()| Outcome::Done)
            }
        }
    }

    async fn submit(&self, submission: Submission) -> Outcome {
        let may_retry = |error: &SubmitError| *error != SubmitError::KeyReused;
        let answer = until_done(may_retry, || {
            self.engine.submit(submission.clone(), Instant::now() + SUBMIT_WAIT_MAX)
        });
        match answer.await.map(|answer| answer.outcome) {
            Ok(engine::Outcome::Committed { .. } | engine::Outcome::Unchanged { .. }) => {
                Outcome::Done
            }
            Ok(engine::Outcome::Rejected { code, detail, .. }) => Outcome::Refused { code, detail },
            Err(error) => Outcome::Refused { code: "internal".into(), detail: error.to_string() },
        }
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

fn always(_: &CallFailed) -> bool {
    true
}
