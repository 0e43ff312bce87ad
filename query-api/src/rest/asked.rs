//! What every read is asked along with its parameters: by whom, how fresh, and what is known.

use axum::{extract::FromRequestParts, http::request::Parts};
use domain::id::CartId;
use infra::{
    auth::{Caller, OpenCart},
    http::{
        etag::IfNoneMatch,
        fields::Validate,
        headers::{AtLeast, PreferWait},
        problem::Problem,
        shapes,
    },
};
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::AppState;

pub(super) struct Asked {
    pub(super) caller: Caller,
    /// Whose token was sent, whoever the caller is.
    pub(super) open_cart: Option<CartId>,
    pub(super) at_least: AtLeast,
    /// How long the client would wait for that.
    pub(super) until: Instant,
    pub(super) known: IfNoneMatch,
}

impl FromRequestParts<AppState> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let at_least = AtLeast::from_request_parts(parts, state).await?;
        let until = PreferWait::from_headers(&parts.headers).until();
        let Ok(known) = IfNoneMatch::from_request_parts(parts, state).await;
        let Ok(OpenCart(open_cart)) = OpenCart::from_request_parts(parts, state).await;
        Ok(Self { caller, open_cart, at_least, until, known })
    }
}

/// For reads without parameters: one that is sent anyway means something that would not happen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

impl Validate for NoParameters {}

/// Headers that every read takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it documents what `Asked` reads")]
pub(super) struct ReadHeaders {
    /// See at least this far: as the answer of a command gave it, several joined by commas.
    #[param(rename = "Tradewind-Position", inline)]
    tradewind_position: Option<shapes::PositionTokens>,
    /// `wait=N`: seconds to wait for that position, 2 by default and 30 at most.
    #[param(rename = "Prefer", example = "wait=5")]
    prefer: Option<String>,
}

/// Headers that a read of one thing takes beside them.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it documents what `Asked` reads")]
pub(super) struct EntityHeaders {
    /// As an `ETag` gave it, one or several, or `*`: 412 if it is another one by now.
    #[param(rename = "If-Match", inline)]
    if_match: Option<shapes::EntityTags>,
    /// As an `ETag` gave it: 304 if nothing has changed.
    #[param(rename = "If-None-Match", example = "\"3\"")]
    if_none_match: Option<String>,
}

/// The header of those who have no role that lets them in.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it documents what `Asked` reads")]
pub(super) struct GuestHeaders {
    /// The way to a cart and to the order made of it for whoever made the cart.
    #[param(rename = "Tradewind-Cart-Token")]
    tradewind_cart_token: Option<String>,
}
