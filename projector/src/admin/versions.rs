//! `/v1/admin/projections/{name}/…`: what operators do with versions, and how they have them
//! proven.

use axum::{Json, extract::State, http::StatusCode};
use infra::http::{
    extract::{Id, Json as Body, Path},
    problem::Problem,
    shapes,
    values::Whole,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Doors;
use crate::{
    rebuild::switch::Target,
    store::{
        verifications::Verification,
        versions::{Positive, RebuildRequest, Version},
    },
};

/// Which projection.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Named {
    #[param(inline, value_type = shapes::PartName, example = "orders")]
    name: String,
}

/// Which version is meant.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Its number; without it, the one that is meant where there is but one.
    version: Option<shapes::Version>,
}

infra::validates!(Which: version);

/// What is to be verified.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    /// The number of a version; the live one without it.
    version: Option<shapes::Version>,
    /// Look at about so many keys, taken at random; at all without it.
    #[schema(example = 1_000)]
    sample: Option<Positive>,
}

infra::validates!(Verify: version, sample);

/// Build a new version beside the live one
///
/// It goes on by itself, whatever is restarted meanwhile; the status tells how far it is.
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/rebuild",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<RebuildRequest>,
    responses((status = ACCEPTED, description = "It has begun", body = Version)),
)]
pub(super) async fn rebuild_projection(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(request): Body<RebuildRequest>,
) -> Result<(StatusCode, Json<Version>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(doors.control.rebuild(&name, request).await?)))
}

/// Hold a build, or a version that stands by, where it is
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/pause",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It does not go on", body = Version)),
)]
pub(super) async fn pause_projection(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(Which { version }): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.pause(&name, version.map(Whole::get)).await?))
}

/// Let it go on, also after a problem
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/resume",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It goes on", body = Version)),
)]
pub(super) async fn resume_projection(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(Which { version }): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.resume(&name, version.map(Whole::get)).await?))
}

/// Show readers the newest version, or the one that is named
///
/// In one transaction, and only if it is at least as far as the live one in every shard.
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/switch",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It is live", body = Version)),
)]
pub(super) async fn switch_projection(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(Which { version }): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.switch(&name, Target::Forward(version.map(Whole::get))).await?))
}

/// Show readers the version again that was live before
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/rollback",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    responses((status = OK, description = "It is live again", body = Version)),
)]
pub(super) async fn rollback_projection(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.switch(&name, Target::Back).await?))
}

/// Remove a version that is not live, built or not
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/drop",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It is gone", body = Version)),
)]
pub(super) async fn drop_projection(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(Which { version }): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.drop(&name, version.map(Whole::get)).await?))
}

/// Compare a version with an independent fold of the log up to its own position
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/verify",
    tag = "Verifications",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Verify>,
    responses((status = ACCEPTED, description = "It waits for its turn", body = Verification)),
)]
pub(super) async fn verify_projection(
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
    tag = "Verifications",
    security(("api_key" = ["operator"])),
    params(Id<Uuid>),
    responses((status = OK, body = Verification)),
)]
pub(super) async fn get_verification(
    State(doors): State<Doors>,
    Id(id): Id<Uuid>,
) -> Result<Json<Verification>, Problem> {
    Ok(Json(doors.control.verification(id).await?))
}
