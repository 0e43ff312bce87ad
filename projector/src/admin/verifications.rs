//! Proofs that a read model is what the log makes of it.

use axum::{Json, extract::State, http::StatusCode};
use infra::http::{
    extract::{Json as Body, Path},
    fields::{Fields, Validate},
    problem::Problem,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Doors;
use crate::verify::Verification;

/// What is to be verified.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    /// The number of a version; the live one without it.
    version: Option<i32>,
    /// Look at about so many keys, taken at random; at all without it.
    #[schema(minimum = 1, example = 1_000)]
    sample: Option<i32>,
}

impl Validate for Verify {
    fn validate(&self, fields: &mut Fields) {
        if let Some(sample) = self.sample {
            fields.range("/sample", sample, 1..=i32::MAX);
        }
    }
}

/// Compare a version with an independent fold of the log up to its own position
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/verify",
    operation_id = "verify_projection",
    tag = "Verifications",
    security(("api_key" = ["operator"])),
    params(("name" = String, Path, example = "orders")),
    request_body = Verify,
    responses((status = ACCEPTED, description = "It waits for its turn", body = Verification)),
)]
pub(super) async fn order(
    State(doors): State<Doors>,
    Path(name): Path<String>,
    Body(Verify { version, sample }): Body<Verify>,
) -> Result<(StatusCode, Json<Verification>), Problem> {
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
    params(("id" = Uuid, Path)),
    responses((status = OK, body = Verification)),
)]
pub(super) async fn by_id(
    State(doors): State<Doors>,
    Path(id): Path<Uuid>,
) -> Result<Json<Verification>, Problem> {
    Ok(Json(doors.control.verification(id).await?))
}
