//! The operators' door over HTTP; the server adds health, metrics and documentation. Issued API keys
//! are checked by the read model that this very service keeps.

mod dead_letters;
mod versions;

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRef, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use infra::{
    auth::{API_KEYS, Authenticator, IssuedKeys, guard},
    clock::Clock,
    freshness::{Freshness, PositionWatcher, Projection, Reads},
    http::{docs::About, headers::AtLeast, health::Readiness, problem::Problem, server::App},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{rebuild::Control, settings::Settings, status::Status};

const ABOUT: About = About {
    title: "Tradewind projector",
    description: "Read models, for operators: how far they are, rebuilds, switches, proofs.",
    version: env!("CARGO_PKG_VERSION"),
};

const PROJECTIONS: &[Projection] = &[API_KEYS];

#[derive(Clone)]
struct Doors {
    authenticator: Authenticator,
    control: Control,
}

impl FromRef<Doors> for Authenticator {
    fn from_ref(doors: &Doors) -> Self {
        doors.authenticator.clone()
    }
}

/// The routes of the projector, and what keeps the keys fresh by which it knows its callers.
#[must_use]
pub(crate) fn app(
    settings: &Settings,
    control: Control,
    readiness: Readiness,
) -> (App, PositionWatcher) {
    // The condition stays out of `/readyz`: a projector is ready before its read models are there.
    let condition = Readiness::new().condition("read_models");
    let views = ["api_keys", "parked_streams", "positions"].into();
    let reads = Reads { projections: PROJECTIONS, views };
    let (watcher, applied) = PositionWatcher::new(control.pool.clone(), reads, condition);
    let freshness = Freshness::new(applied);
    // Operators' commands are few: each unknown key is waited for as if it were signed.
    let (rows, known) = (control.pool.clone(), freshness.clone());
    let keys = Arc::new(IssuedKeys { rows, freshness: known, signing: None });
    let authenticator = Authenticator::new(settings.operator_key, keys, Clock::System, None);
    let api = routes().route_layer(from_fn_with_state(freshness, admit));
    let api = guard(api, authenticator.clone()).with_state(Doors { authenticator, control });
    (App::new(&ABOUT, api, readiness, (&settings.http).into()), watcher)
}

fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(projector_status))
        .routes(routes!(versions::rebuild_projection))
        .routes(routes!(versions::pause_projection))
        .routes(routes!(versions::resume_projection))
        .routes(routes!(versions::switch_projection))
        .routes(routes!(versions::rollback_projection))
        .routes(routes!(versions::drop_projection))
        .routes(routes!(versions::verify_projection))
        .routes(routes!(versions::get_verification))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(dead_letters::get_dead_letter))
        .routes(routes!(dead_letters::retry_dead_letter))
        .routes(routes!(dead_letters::edit_dead_letter))
        .routes(routes!(dead_letters::skip_dead_letter))
}

/// Refuses requests with a position that cannot be. None of these endpoints waits for one that can.
async fn admit(
    State(freshness): State<Freshness>,
    at_least: AtLeast,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    freshness.admit(PROJECTIONS, &at_least)?;
    Ok(next.run(request).await)
}

/// How far each version of each projection is in each shard
#[utoipa::path(
    get,
    path = "/v1/admin/status",
    tag = "Administration",
    security(("api_key" = ["operator"])),
    responses((status = 200, description = "All versions and checkpoints", body = Status)),
)]
async fn projector_status(State(doors): State<Doors>) -> Result<Json<Status>, Problem> {
    let status = Status::read(&doors.control.pool).await.map_err(|error| {
        Problem::unavailable("unavailable", "PostgreSQL does not answer").caused_by(error)
    })?;
    Ok(Json(status))
}

#[cfg(test)]
mod tests {
    use infra::http::docs;

    use super::*;

    #[test]
    fn the_contract_is_as_published() {
        let contract = docs::complete(routes().into_openapi(), &ABOUT);
        let found = docs::unbounded(&serde_json::to_value(&contract).unwrap());
        assert_eq!(found, [""; 0]);
        let json = serde_json::to_string_pretty(&contract).unwrap() + "\n";
        let json = json.replace(ABOUT.version, "0.0.0");
        expect_test::expect_file!["../openapi.json"].assert_eq(&json);
    }
}
