//! What every read has besides its parameters: what it works with, its caller, how fresh the answer
//! must be, and the answer with the position that it reflects.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use domain::{
    id::{Sku, StreamId},
    shard::ShardId,
};
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
use read_models::journal::JOURNAL;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterIn},
};

use super::when::When;
use crate::{
    read_model::{Entity, ReadModel},
    replay::{Pseudonyms, Replays},
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

    /// What makes the pseudonyms of events that the journal shows.
    ///
    /// # Errors
    /// There is no journal here, or no key for pseudonyms.
    pub(super) fn journal(&self) -> Result<&Pseudonyms, Problem> {
        match self.0.freshness.is_kept(JOURNAL.shown()) {
            Some(true) => {}
            Some(false) => {
                let detail = "the journal is switched off here: `projector.journal` is `off`";
                return Err(Problem::unavailable("journal_off", detail));
            }
            None => {
                let detail = "the read models cannot be reached now; ask again shortly";
                return Err(Problem::unavailable("unavailable", detail));
            }
        }
        let names = self.0.replays.as_ref().map(Replays::names);
        names.ok_or_else(|| {
            let detail =
                "events are not shown here: `replay.key`, which makes pseudonyms, is not set";
            Problem::unavailable("replay_off", detail)
        })
    }

    /// Waits until the projections show what the client wants to see; tells what a read that begins
    /// now reflects.
    pub(super) async fn reach(
        &self,
        projections: &[Projection],
        request: &ReadRequest,
    ) -> Result<Position, Problem> {
        self.reach_position(projections, request, &request.at_least).await
    }

    /// Waits until they show another position than the one that the client wants to see.
    pub(super) async fn reach_position(
        &self,
        projections: &[Projection],
        request: &ReadRequest,
        at_least: &AtLeast,
    ) -> Result<Position, Problem> {
        let ReadRequest { caller, until, .. } = request;
        self.0.freshness.reach(projections, at_least, *until, Client::from(caller)).await
    }

    /// Waits until a projection shows what a stream was so long ago.
    ///
    /// # Errors
    /// 503 if it is not known to do so in time.
    pub(super) async fn reach_time(
        &self,
        projection: Projection,
        request: &ReadRequest,
        stream: &StreamId,
        ago: Duration,
    ) -> Result<Position, Problem> {
        let ReadRequest { caller, at_least: AtLeast(seen), until } = request;
        let began = Instant::now();
        // What is older than this machine's clock counts from is older than anything.
        let then = began.checked_sub(ago.max(LEVEL_AGE));
        let is_recent = |level: Instant| then.is_none_or(|then| level >= then);
        let client = Client::from(caller);
        let progress =
            self.0.freshness.progress(projection, stream, seen, is_recent, client, *until);
        progress.await.ok_or_else(Problem::stale)?;
        Ok(self.0.freshness.position(&[projection]))
    }

    /// The shard of a stream, once it is known how many there are.
    pub(super) fn shard_of(&self, stream: &StreamId) -> Option<ShardId> {
        self.0.freshness.shard_of(stream)
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
        Self::of(parts, state).await
    }
}

/// The same of a thing whose past can be read.
pub(super) struct ReadPast {
    pub(super) read: ReadOne,
    pub(super) when: When,
}

impl FromRequestParts<AppState> for ReadPast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Query(when) = Query::from_request_parts(parts, state).await?;
        Ok(Self { read: ReadOne::of(parts, state).await?, when })
    }
}

impl IntoParams for ReadPast {
    fn into_params(header: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [When::into_params(&header), ReadOne::into_params(&header)].concat()
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

/// How level a projection is becomes known once a second. What is asked of this moment need not wait for that.
const LEVEL_AGE: Duration = Duration::from_secs(1);

/// Answers depend on who asks and change at any time: only their reader may keep them, and must ask
/// whether they still hold.
pub(super) const CACHE_CONTROL: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
pub(super) const JSON: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));

impl ReadOne {
    async fn of(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let request = ReadRequest::from_request_parts(parts, state).await?;
        let Ok(known) = IfNoneMatch::from_request_parts(parts, state).await;
        Ok(Self { request, known })
    }

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
