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
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Doors, Named};
use crate::{
    rebuild::{switch::Target, tables::RebuildRequest},
    store::{verifications::Verification, versions::Version},
};

type Positive = Whole<i32, 1, 2_147_483_647>;

/// How a new version is to be built.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebuild {
    /// Records of the log per second, of all shards together; as fast as it goes without it.
    #[schema(example = 50_000)]
    throttle: Option<Positive>,
    /// Verify it when it has caught up.
    #[serde(default)]
    verify: bool,
    /// Then switch to it, unless differences were found.
    #[serde(default)]
    switch: bool,
    /// Read events as they stand in the log: edits and skips of dead letters that were made so far are
    /// not those of this version.
    #[serde(default)]
    forget_corrections: bool,
}

infra::validates!(Rebuild: throttle);

/// Which version is meant.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Its number; without it, the one that is meant where there is but one.
    version: Option<shapes::Version>,
}

infra::validates!(Which: version);

impl Which {
    fn number(&self) -> Option<i32> {
        self.version.map(Whole::get)
    }
}

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
    operation_id = "rebuild_projection",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Rebuild>,
    responses((status = ACCEPTED, description = "It has begun", body = Version)),
)]
pub(super) async fn rebuild(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(Rebuild { throttle, verify, switch, forget_corrections }): Body<Rebuild>,
) -> Result<(StatusCode, Json<Version>), Problem> {
    let throttle = throttle.map(Whole::get);
    let request = RebuildRequest { throttle, verify, switch, forget_corrections };
    Ok((StatusCode::ACCEPTED, Json(doors.control.rebuild(&name, request).await?)))
}

/// Hold a build, or a version that stands by, where it is
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/pause",
    operation_id = "pause_projection",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It does not go on", body = Version)),
)]
pub(super) async fn pause(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(which): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.pause(&name, which.number()).await?))
}

/// Let it go on, also after a problem
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/resume",
    operation_id = "resume_projection",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It goes on", body = Version)),
)]
pub(super) async fn resume(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(which): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.resume(&name, which.number()).await?))
}

/// Show readers the newest version, or the one that is named
///
/// In one transaction, and only if it is at least as far as the live one in every shard.
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/switch",
    operation_id = "switch_projection",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It is live", body = Version)),
)]
pub(super) async fn switch(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(which): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.switch(&name, Target::Forward(which.number())).await?))
}

/// Show readers the version again that was live before
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/rollback",
    operation_id = "rollback_projection",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    responses((status = OK, description = "It is live again", body = Version)),
)]
pub(super) async fn rollback(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.switch(&name, Target::Back).await?))
}

/// Remove a version that is not live, built or not
#[utoipa::path(
    post,
    path = "/v1/admin/projections/{name}/drop",
    operation_id = "drop_projection",
    tag = "Versions",
    security(("api_key" = ["operator"])),
    params(Named),
    request_body = Option<Which>,
    responses((status = OK, description = "It is gone", body = Version)),
)]
pub(super) async fn drop_version(
    State(doors): State<Doors>,
    Path(Named { name }): Path<Named>,
    Body(which): Body<Which>,
) -> Result<Json<Version>, Problem> {
    Ok(Json(doors.control.drop(&name, which.number()).await?))
}

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
pub(super) async fn verify(
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
pub(super) async fn verification(
    State(doors): State<Doors>,
    Id(id): Id<Uuid>,
) -> Result<Json<Verification>, Problem> {
    Ok(Json(doors.control.verification(id).await?))
}
