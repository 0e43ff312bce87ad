//! What every read has besides its parameters: what it works with, its caller, how fresh the answer
//! must be, and the answer with the position that it reflects.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use domain::id::Sku;
use infra::{
    auth::{Authenticator, Caller, Client},
    freshness::{Freshness, Projection},
    http::{
        etag::{ETag, IfNoneMatch, not_modified},
        extract::Query,
        fields::Validate,
        headers::{AtLeast, PreferWait},
        problem::Problem,
        shapes,
    },
    position::Position,
};
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterIn},
};

use crate::{
    read_model::{Entity, ReadModel},
    replay::Replays,
    schemas::Schemas,
};

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Inner>);

struct Inner {
    read_model: ReadModel,
    freshness: Freshness,
    authenticator: Authenticator,
    /// None where they are switched off.
    replays: Option<Replays>,
    schemas: Schemas,
}

impl AppState {
    pub(crate) fn new(
        read_model: ReadModel,
        freshness: Freshness,
        authenticator: Authenticator,
        replays: Option<Replays>,
    ) -> Self {
        let schemas = Schemas::of_this_release();
        Self(Arc::new(Inner { read_model, freshness, authenticator, replays, schemas }))
    }

    pub(super) fn read_model(&self) -> &ReadModel {
        &self.0.read_model
    }

    pub(super) fn replays(&self) -> Option<&Replays> {
        self.0.replays.as_ref()
    }

    pub(super) fn schemas(&self) -> &Schemas {
        &self.0.schemas
    }

    /// Waits until the projections show what the client wants to see; tells what a read that begins
    /// now reflects.
    pub(super) async fn reach(
        &self,
        projections: &[Projection],
        request: &ReadRequest,
    ) -> Result<Position, Problem> {
        let ReadRequest { caller, at_least, until } = request;
        self.0.freshness.reach(projections, at_least, *until, Client::from(caller)).await
    }
}

impl FromRef<AppState> for Authenticator {
    fn from_ref(state: &AppState) -> Self {
        state.0.authenticator.clone()
    }
}

pub(super) struct ReadRequest {
    pub(super) caller: Caller,
    at_least: AtLeast,
    /// How long the client would wait for that.
    until: Instant,
}

impl FromRequestParts<AppState> for ReadRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let at_least = AtLeast::from_request_parts(parts, state).await?;
        let until = PreferWait::from_headers(&parts.headers).until();
        Ok(Self { caller, at_least, until })
    }
}

/// The headers that every read takes.
impl IntoParams for ReadRequest {
    fn into_params(header: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [AtLeast::into_params(&header), PreferWait::into_params(&header)].concat()
    }
}

/// A read of one thing, which has no parameters, and a revision that the client may know already.
pub(super) struct ReadOne {
    pub(super) request: ReadRequest,
    known: IfNoneMatch,
}

/// A read of what only a release changes, which has no parameters.
pub(super) struct ReadFixed {
    pub(super) known: IfNoneMatch,
}

impl FromRequestParts<AppState> for ReadFixed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Query(NoParameters {}) = Query::from_request_parts(parts, state).await?;
        let Ok(known) = IfNoneMatch::from_request_parts(parts, state).await;
        Ok(Self { known })
    }
}

impl IntoParams for ReadFixed {
    fn into_params(header: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        IfNoneMatch::into_params(&header)
    }
}

impl FromRequestParts<AppState> for ReadOne {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Query(NoParameters {}) = Query::from_request_parts(parts, state).await?;
        let request = ReadRequest::from_request_parts(parts, state).await?;
        let Ok(known) = IfNoneMatch::from_request_parts(parts, state).await;
        Ok(Self { request, known })
    }
}

impl IntoParams for ReadOne {
    fn into_params(header: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [ReadRequest::into_params(&header), IfNoneMatch::into_params(&header)].concat()
    }
}

/// Of which SKU.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfSku {
    #[param(inline, value_type = shapes::Sku)]
    pub(super) sku: Sku,
}

/// For reads without parameters: one that is sent anyway means something that would not happen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

impl Validate for NoParameters {}

/// Answers depend on who asks and change at any time: only their reader may keep them, and must ask
/// whether they still hold.
const CACHE_CONTROL: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
const JSON: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));

impl ReadOne {
    /// 304 if the client has it already.
    pub(super) fn answer(&self, entity: Entity, position: &Position) -> Response {
        let Entity { revision, body } = entity;
        if self.known.matches(revision) {
            return (position, [CACHE_CONTROL], not_modified(revision)).into_response();
        }
        (position, ETag(revision), [CACHE_CONTROL, JSON], body).into_response()
    }
}

/// Answers with anything but one thing.
pub(super) fn answer(body: impl IntoResponse, position: &Position) -> Response {
    (position, [CACHE_CONTROL], body).into_response()
}
