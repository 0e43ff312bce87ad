//! The operators' door over HTTP; the server adds health, metrics and documentation.

mod dead_letters;
mod keys;

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRef, State},
};
use domain::api_key::Role;
use infra::{
    auth::{Authenticator, Caller, KeyHash},
    clock::Clock,
    http::{docs::About, health::Readiness, problem::Problem, server::App},
    postgres::Pool,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{projections, runner::Fold, status::Status};

const ABOUT: About = About {
    title: "Tradewind projector",
    description: "How far the read models are, for operators.",
    version: env!("CARGO_PKG_VERSION"),
};

#[derive(Clone)]
struct Doors {
    authenticator: Authenticator,
    pool: Pool,
    projections: Arc<[Arc<dyn Fold>]>,
}

impl FromRef<Doors> for Authenticator {
    fn from_ref(doors: &Doors) -> Self {
        doors.authenticator.clone()
    }
}

/// The routes of the projector.
#[must_use]
pub(crate) fn app(
    http: &infra::config::Http,
    operator_key: Option<KeyHash>,
    pool: Pool,
    readiness: Readiness,
) -> App {
    let directory = Arc::new(keys::Directory::new(pool.clone()));
    let authenticator = Authenticator::new(operator_key, directory, Clock::System);
    let projections = projections::all().into();
    let api = OpenApiRouter::new()
        .routes(routes!(status))
        .merge(dead_letters::routes())
        .with_state(Doors { authenticator, pool, projections });
    App::new(&ABOUT, api, readiness, http.into())
}

/// How far each projection is in each shard
#[utoipa::path(
    get,
    path = "/v1/admin/status",
    operation_id = "projector_status",
    tag = "Administration",
    security(("api_key" = [])),
    responses((status = 200, description = "All checkpoints", body = Status)),
)]
async fn status(caller: Caller, State(doors): State<Doors>) -> Result<Json<Status>, Problem> {
    caller.require(Role::Operator)?;
    let status = Status::read(&doors.pool).await.map_err(|error| {
        Problem::unavailable("unavailable", "PostgreSQL does not answer").caused_by(error)
    })?;
    Ok(Json(status))
}
