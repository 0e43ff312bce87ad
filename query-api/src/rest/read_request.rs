//! What every read has besides its parameters: its caller, and how fresh the answer must be.

use axum::{extract::FromRequestParts, http::request::Parts};
use domain::id::Sku;
use infra::{
    auth::{Caller, Client},
    freshness::Projection,
    http::{
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

use super::state::AppState;

pub(super) struct ReadRequest {
    pub(super) caller: Caller,
    pub(super) at_least: AtLeast,
    /// How long the client would wait for that.
    pub(super) until: Instant,
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

impl AppState {
    /// Waits until the projections show what the client wants to see; tells what a read that begins
    /// now reflects.
    pub(super) async fn reach(
        &self,
        projections: &[Projection],
        request: &ReadRequest,
    ) -> Result<Position, Problem> {
        let client = Client::from(&request.caller);
        self.freshness().reach(projections, &request.at_least, request.until, client).await
    }
}

/// The headers that every read takes.
impl IntoParams for ReadRequest {
    fn into_params(header: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [AtLeast::into_params(&header), PreferWait::into_params(&header)].concat()
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
