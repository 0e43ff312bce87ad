//! Proofs that a read model is what the log makes of it.

use axum::{Json, extract::State, http::StatusCode};
use infra::http::{
    extract::{Id, Json as Body, Path},
    problem::Problem,
    shapes,
    values::Whole,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Doors, Named};
use crate::verify::Verification;

type Sample = Whole<i32, 1, 2_147_483_647>;

/// What is to be verified.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    /// The number of a version; the live one without it.
    version: Option<shapes::Version>,
    /// Look at about so many keys, taken at random; at all without it.
    #[schema(example = 1_000)]
    sample: Option<Sample>,
}

infra::validates!(Verify: version, sample);

/// Compare a version with an independent fold of the log up to its own position
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/verify",
    operation_id = "verify_projection",
    tag = "Verifications",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Verify>,
    responses((status = ACCEPTED, description = "It waits for its turn", body = Verification)),
)]
pub(super) async fn order(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(Verify { version, sample }): Body<Verify>,
) -> Result<(StatusCode, Json<Verification>), Problem> {
    let (version, sample) = (version.map(Whole::get), sample.map(Whole::get));
    let verification = doors.control.verify(&name, version, sample).await?;
    Ok((StatusCode::ACCEPTED, Json(verification)))
}

/// How far a verification is, or what it found
#[utoipa::path(
    get,
    path = "/v1/admin/verifications/{id}",
    operation_id = "get_verification",
    tag = "Verifications",
    security(("api_key" = ["operator"])),
    params(Id<Uuid>),
    responses((status = OK, body = Verification)),
)]
pub(super) async fn by_id(
    State(doors): State<Doors>,
    Id(id): Id<Uuid>,
) -> Result<Json<Verification>, Problem> {
    Ok(Json(doors.control.verification(id).await?))
}
