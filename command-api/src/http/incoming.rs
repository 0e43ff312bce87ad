//! A command as it comes over HTTP: who sends it, under which key, with which body.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use domain::{
    Command,
    api_key::Role,
    envelope::Revision,
    id::{CausationId, CommandId, StreamId},
};
use infra::{
    auth::{CART_TOKEN, Caller},
    http::{
        extract::Payload,
        fields::Validate,
        headers::{IdempotencyKey, IfMatch},
        problem::Problem,
        trace::RequestContext,
    },
    log::record::RequestHash,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{
    keys::UnderWay,
    state::{AppState, problem},
};
use crate::engine::{Answer, Submission, SubmitError};

/// A request for a command, checked as far as that needs no state.
pub(super) struct Incoming<T> {
    pub(super) origin: Origin,
    pub(super) body: T,
}

/// Where a command comes from.
pub(super) struct Origin {
    pub(super) caller: Caller,
    pub(super) command_id: CommandId,
    /// `Tradewind-Cart-Token`, whoever the caller is.
    pub(super) cart_token: Option<String>,
    pub(super) expected_revision: Option<Revision>,
    pub(super) request: RequestContext,
    actor: Arc<str>,
    request_hash: RequestHash,
    /// Present if the client named the request with an Idempotency-Key.
    under_way: Option<UnderWay>,
}

impl<T> FromRequest<AppState> for Incoming<T>
where
    T: DeserializeOwned + Validate,
{
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = caller(&mut parts, app).await?;
        let key = <Option<IdempotencyKey>>::from_request_parts(&mut parts, app).await?;
        let IfMatch(expected_revision) = IfMatch::from_request_parts(&mut parts, app).await?;
        let Ok(context) = RequestContext::from_request_parts(&mut parts, app).await;
        let cart_token = parts.headers.get(CART_TOKEN).and_then(|token| token.to_str().ok());
        let cart_token = cart_token.map(str::to_owned);
        let head = (parts.method.clone(), parts.uri.path().to_owned());
        let payload = Payload::<T>::from_request(Request::from_parts(parts, body), app).await?;
        let request_hash = RequestHash::of(&[
            head.0.as_str().as_bytes(),
            head.1.as_bytes(),
            &payload.bytes,
            expected_revision.map(|revision| revision.to_string()).unwrap_or_default().as_bytes(),
        ]);
        let namespace = caller.idempotency_namespace();
        let identity = Identity {
            actor: caller.actor(),
            namespace,
            key: key.as_ref().map(IdempotencyKey::as_str),
        };
        let (command_id, under_way) = identity.command(app, request_hash)?;
        let origin = Origin {
            actor: identity.actor,
            caller,
            command_id,
            cart_token,
            expected_revision,
            request: context,
            request_hash,
            under_way,
        };
        Ok(Self { origin, body: payload.value })
    }
}

/// What makes a command's id.
struct Identity<'a> {
    actor: Arc<str>,
    namespace: Uuid,
    key: Option<&'a str>,
}

impl Identity<'_> {
    fn command(
        &self,
        app: &AppState,
        request_hash: RequestHash,
    ) -> Result<(CommandId, Option<UnderWay>), Problem> {
        let Some(key) = self.key else { return Ok((CommandId::new(Uuid::now_v7()), None)) };
        let command_id = CommandId::new(Uuid::new_v5(&self.namespace, key.as_bytes()));
        let under_way = app.keys.enter(command_id, request_hash);
        let under_way = under_way.map_err(|_reused| Problem::idempotency_key_reused())?;
        Ok((command_id, Some(under_way)))
    }
}

impl Origin {
    /// A command that no client of ours sent: a provider's webhook, whose id is its key.
    pub(super) fn webhook(
        app: &AppState,
        provider: &str,
        key: &str,
        body: &[u8],
        request: RequestContext,
    ) -> Result<Self, Problem> {
        let actor: Arc<str> = format!("webhook:{provider}").into();
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, actor.as_bytes());
        let identity = Identity { actor, namespace, key: Some(key) };
        let request_hash = RequestHash::of(&[body]);
        let (command_id, under_way) = identity.command(app, request_hash)?;
        Ok(Self {
            caller: Caller::Anonymous { cart_token: None, address: None },
            command_id,
            cart_token: None,
            expected_revision: None,
            request,
            actor: identity.actor,
            request_hash,
            under_way,
        })
    }

    pub(super) fn is_staff(&self) -> bool {
        self.caller.has(Role::Staff)
    }

    /// The id of something that this command creates. A retry under the same key finds the same
    /// thing, even after a crash between two steps.
    pub(super) fn new_id(&self, kind: &str) -> Uuid {
        if self.under_way.is_some() { self.command_id.derive(kind) } else { Uuid::now_v7() }
    }

    /// Hands the command to the engine.
    pub(super) async fn submit(
        &self,
        app: &AppState,
        stream: StreamId,
        command: Command,
    ) -> Result<Answer, Problem> {
        let submission = Submission {
            expected_revision: self.expected_revision,
            ..self.submission(self.command_id, stream, command)
        };
        self.hand_over(app, submission).await
    }

    /// Hands a further command of the same request to the engine, under an id of its own.
    pub(super) async fn submit_step(
        &self,
        app: &AppState,
        step: &str,
        stream: StreamId,
        command: Command,
    ) -> Result<Answer, Problem> {
        let id = CommandId::new(self.command_id.derive(step));
        self.hand_over(app, self.submission(id, stream, command)).await
    }

    async fn hand_over(&self, app: &AppState, submission: Submission) -> Result<Answer, Problem> {
        let result = app.submit(submission, self.request.deadline).await;
        if let (Some(under_way), Ok(_) | Err(SubmitError::Unknown)) = (&self.under_way, &result) {
            under_way.remember();
        }
        result.map_err(|error| self.problem(error))
    }

    fn submission(&self, command_id: CommandId, stream: StreamId, command: Command) -> Submission {
        Submission {
            stream,
            command,
            command_id,
            request_hash: self.request_hash,
            expected_revision: None,
            actor: Arc::clone(&self.actor),
            correlation_id: self.request.trace.correlation_id(),
            causation_id: CausationId::new(self.command_id.uuid()),
            traceparent: Some(self.request.trace.traceparent()),
        }
    }

    fn problem(&self, error: SubmitError) -> Problem {
        match (&self.under_way, error) {
            (Some(UnderWay { twice: true, .. }), SubmitError::Unknown) => Problem::conflict(
                "request_under_way",
                "the same request is still under way; ask again with the same Idempotency-Key",
            ),
            _ => problem(error),
        }
    }
}

/// The caller, resolved once per request.
async fn caller(parts: &mut Parts, app: &AppState) -> Result<Caller, Problem> {
    if let Some(caller) = parts.extensions.get::<Caller>() {
        return Ok(caller.clone());
    }
    let caller = Caller::from_request_parts(parts, app).await?;
    parts.extensions.insert(caller.clone());
    Ok(caller)
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident),+) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl<S> FromRequestParts<S> for $name
        where
            AppState: FromRef<S>,
            S: Send + Sync,
        {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                let caller = caller(parts, &AppState::from_ref(state)).await?;
                caller.require(Role::$name).map(|()| Self)
            }
        }
    )+};
}

roles! {
    /// Lets staff in. Comes before the body, so that nobody else learns what a body must hold.
    Staff,
    /// Lets operators in.
    Operator
}
