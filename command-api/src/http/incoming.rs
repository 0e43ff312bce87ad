//! A command as it comes over HTTP: who sends it, under which key, with which body.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use domain::{
    Listed,
    addressed::Addressed,
    api_key::Role,
    envelope::Revision,
    id::{CartId, CausationId, CommandId, RequestId, StreamId},
};
use infra::{
    auth::{Caller, OpenCart},
    http::{
        extract::Payload,
        fields::Validate,
        headers::{Conditions, IdempotencyKey, Tags},
        problem::Problem,
        trace::RequestContext,
    },
    log::record::RequestHash,
};
use serde::de::DeserializeOwned;
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterIn},
};
use uuid::Uuid;

use super::{
    answer::Reply,
    state::{AppState, problem, unread},
};
use crate::engine::{Answer, Precondition, Submission, SubmitError};

/// A request for a command, checked as far as that needs no state.
pub(super) struct Incoming<T> {
    pub(super) origin: Origin,
    pub(super) body: T,
}

/// Where a command comes from.
pub(super) struct Origin {
    pub(super) caller: Caller,
    /// Whose token was sent, whoever the caller is.
    pub(super) open_cart: Option<CartId>,
    pub(super) precondition: Precondition,
    pub(super) request: RequestContext,
    actor: Arc<str>,
    pub(super) request_id: RequestId,
    request_hash: RequestHash,
    /// There is no Idempotency-Key, or it is a random UUID.
    pub(super) key_is_unguessable: bool,
}

impl<T> FromRequest<AppState> for Incoming<T>
where
    T: DeserializeOwned + Validate,
{
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let key = <Option<IdempotencyKey>>::from_request_parts(&mut parts, app).await?;
        let precondition = precondition(Conditions::of(&parts.headers)?);
        let Ok(context) = RequestContext::from_request_parts(&mut parts, app).await;
        let Ok(OpenCart(open_cart)) = OpenCart::from_request_parts(&mut parts, app).await;
        let head = (parts.method.clone(), parts.uri.path().to_owned());
        let payload = Payload::<T>::from_request(Request::from_parts(parts, body), app).await?;
        let request_hash = RequestHash::of(&[
            head.0.as_str().as_bytes(),
            head.1.as_bytes(),
            &payload.bytes,
            precondition.for_hash().as_bytes(),
        ]);
        let origin = Origin {
            request_id: request_id(&caller, key.as_ref()),
            actor: caller.actor(),
            caller,
            open_cart,
            precondition,
            request: context,
            request_hash,
            key_is_unguessable: key.as_ref().is_none_or(IdempotencyKey::is_random_uuid),
        };
        Ok(Self { origin, body: payload.value })
    }
}

/// The headers that are read for every command.
impl<T> IntoParams for Incoming<T> {
    fn into_params(header: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [IdempotencyKey::into_params(&header), Conditions::into_params(&header)].concat()
    }
}

fn request_id(caller: &Caller, key: Option<&IdempotencyKey>) -> RequestId {
    match key {
        Some(key) => RequestId::keyed(caller.idempotency_namespace(), key.as_str()),
        None => RequestId::unkeyed(Uuid::now_v7()),
    }
}

impl Origin {
    /// A command that no client of ours sent: a provider's webhook, whose id is its key.
    pub(super) fn webhook(provider: &str, key: &str, body: &[u8], request: RequestContext) -> Self {
        let actor: Arc<str> = format!("webhook:{provider}").into();
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, actor.as_bytes());
        Self {
            caller: Caller::Anonymous { cart: None, address: None },
            open_cart: None,
            precondition: Precondition::None,
            request,
            request_id: RequestId::keyed(namespace, key),
            actor,
            request_hash: RequestHash::of(&[body]),
            key_is_unguessable: false,
        }
    }

    pub(super) fn is_staff(&self) -> bool {
        self.caller.has(Role::Staff)
    }

    /// The id of something that this request creates. A retry under the same key finds the same
    /// thing, even after a crash between two steps.
    pub(super) fn new_id(&self, kind: &str) -> Uuid {
        self.request_id.creates(kind).unwrap_or_else(Uuid::now_v7)
    }

    /// Whether an earlier request under the same key has asked for something of this stream: the engine
    /// has its answer, or that it is another request, and what holds by now does not matter.
    pub(super) async fn is_replay(
        &self,
        app: &AppState,
        stream: &StreamId,
    ) -> Result<bool, Problem> {
        if !self.request_id.is_keyed() {
            return Ok(false);
        }
        let engine = app.engine.get()?;
        engine.knows(stream, self.request_id.command(stream)).await.map_err(unread)
    }

    /// Hands what the request asks of a stream to the engine.
    pub(super) async fn submit<A: Listed>(
        &self,
        app: &AppState,
        id: &A::Id,
        command: A::Command,
    ) -> Result<Answer, Problem> {
        self.try_submit::<A>(app, id, command).await.map_err(problem)
    }

    /// [`Origin::submit`], where the answer is one like any other.
    pub(super) async fn reply<A: Listed>(
        &self,
        app: &AppState,
        id: &A::Id,
        command: A::Command,
    ) -> Result<Reply, Problem> {
        let answer = self.submit::<A>(app, id, command).await?;
        Reply::of(&StreamId::of::<A>(id), &answer)
    }

    /// [`Origin::submit`], for a caller that has something to do when there is no answer.
    pub(super) async fn try_submit<A: Listed>(
        &self,
        app: &AppState,
        id: &A::Id,
        command: A::Command,
    ) -> Result<Answer, SubmitError> {
        app.submit(self.main::<A>(id, command), self.request.deadline).await
    }

    /// [`Origin::try_submit`], answered when the process managers are done with what came of it. `told` is
    /// a stream that they tell of it, whose shard is waited for as well then.
    pub(super) async fn submit_awaited<A: Listed>(
        &self,
        app: &AppState,
        id: &A::Id,
        command: A::Command,
        told: Option<StreamId>,
    ) -> Result<Answer, SubmitError> {
        let mut submission = self.main::<A>(id, command);
        (submission.awaits_reactions, submission.told) = (true, told);
        app.submit(submission, self.request.deadline).await
    }

    /// Hands a command to the engine that comes before or after the one of `main`.
    pub(super) async fn submit_step<A: Listed>(
        &self,
        app: &AppState,
        main: &StreamId,
        step: &str,
        id: &A::Id,
        command: A::Command,
    ) -> Result<Answer, SubmitError> {
        let addressed = Addressed::to::<A>(id, command);
        let command_id = self.request_id.step(main, step, addressed.stream());
        let submission = self.submission(command_id, self.request_id.command(main), addressed);
        app.submit(submission, self.request.deadline).await
    }

    /// What the request asks of the stream that it names.
    fn main<A: Listed>(&self, id: &A::Id, command: A::Command) -> Submission {
        let addressed = Addressed::to::<A>(id, command);
        let command_id = self.request_id.command(addressed.stream());
        let mut submission = self.submission(command_id, command_id, addressed);
        submission.precondition = self.precondition.clone();
        submission
    }

    fn submission(
        &self,
        command_id: CommandId,
        cause: CommandId,
        addressed: Addressed,
    ) -> Submission {
        let trace = &self.request.trace;
        let (actor, hash) = (Arc::clone(&self.actor), self.request_hash);
        let mut submission = Submission::of_request(addressed, command_id, actor, hash);
        submission.correlation_id = trace.correlation_id();
        submission.causation_id = CausationId::new(cause.uuid());
        submission.traceparent = Some(trace.traceparent());
        submission
    }
}

/// What the headers ask of the stream: both have to hold where both are sent (RFC 9110, 13.2.2).
fn precondition(conditions: Conditions) -> Precondition {
    let Conditions { if_match, if_none_match } = conditions;
    match (if_match, if_none_match) {
        (None, None) => Precondition::None,
        (Some(Tags::Any), None) => Precondition::Exists,
        (Some(Tags::These(revisions)), None) => Precondition::AnyOf(revisions),
        (None, Some(Tags::Any)) => Precondition::Absent,
        (None, Some(Tags::These(revisions))) => Precondition::NoneOf(revisions),
        (Some(Tags::Any), Some(Tags::Any)) => Precondition::AnyOf(vec![]),
        (Some(Tags::Any), Some(Tags::These(mut others))) => {
            others.push(NOTHING);
            Precondition::NoneOf(others)
        }
        (Some(Tags::These(mut revisions)), Some(Tags::Any)) => {
            revisions.retain(|revision| *revision == NOTHING);
            Precondition::AnyOf(revisions)
        }
        (Some(Tags::These(mut revisions)), Some(Tags::These(others))) => {
            revisions.retain(|revision| !others.contains(revision));
            Precondition::AnyOf(revisions)
        }
    }
}

/// The revision of a stream that does not exist yet.
const NOTHING: Revision = 0;
