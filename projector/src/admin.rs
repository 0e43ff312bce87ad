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
    auth::{API_KEYS, Authenticator, IssuedKeys, KeyHash, guard},
    clock::Clock,
    freshness::{Freshness, PositionWatcher, Projection, Reads},
    http::{
        docs::About, headers::AtLeast, health::Readiness, problem::Problem, server::App, shapes,
    },
    postgres::{Listener, POSITIONS_CHANNEL, Pool},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{rebuild::Control, status::Status};

const ABOUT: About = About {
    title: "Tradewind projector",
    description: "Read models, for operators: how far they are, rebuilds, switches, proofs.",
    version: env!("CARGO_PKG_VERSION"),
};

const PROJECTIONS: &[Projection] = &[API_KEYS];
const VIEWS: [&str; 3] = ["api_keys", "parked_streams", "positions"];

#[derive(Clone)]
struct Doors {
    authenticator: Authenticator,
    control: Control,
}

/// The keys as far as they are known, and the watcher that keeps them fresh.
pub(crate) struct Keys {
    freshness: Freshness,
    watcher: PositionWatcher,
    listener: Listener,
    pool: Pool,
}

/// Which projection.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct Named {
    #[param(inline, value_type = shapes::PartName, example = "orders")]
    name: String,
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
    keys: &Keys,
    control: Control,
    readiness: Readiness,
) -> App {
    let authenticator = keys.authenticator(operator_key);
    let api = routes().route_layer(from_fn_with_state(keys.freshness(), admit));
    let api = guard(api, authenticator.clone()).with_state(Doors { authenticator, control });
    App::new(&ABOUT, api, readiness, http.into())
}

fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(versions::rebuild))
        .routes(routes!(versions::pause))
        .routes(routes!(versions::resume))
        .routes(routes!(versions::switch))
        .routes(routes!(versions::rollback))
        .routes(routes!(versions::drop_version))
        .routes(routes!(versions::verify))
        .routes(routes!(versions::verification))
        .merge(dead_letters::routes())
}

impl Keys {
    /// `listening` has a connection of its own.
    #[must_use]
    pub(crate) fn new(pool: Pool, listening: Pool) -> Self {
        // The condition stays out of `/readyz`: a projector is ready before its read models are there.
        let condition = Readiness::new().condition("read_models");
        let reads = Reads { projections: PROJECTIONS, views: VIEWS.into() };
        let (watcher, applied) = PositionWatcher::new(pool.clone(), reads, condition);
        let listener = Listener::new(listening, POSITIONS_CHANNEL);
        Self { freshness: Freshness::new(applied), watcher, listener, pool }
    }

    fn authenticator(&self, operator_key: Option<KeyHash>) -> Authenticator {
        let (rows, freshness) = (self.pool.clone(), self.freshness.clone());
        // Operators' commands are few: each unknown key is waited for as if it were signed.
        let keys = IssuedKeys { rows, freshness, signing: None };
        Authenticator::new(operator_key, Arc::new(keys), Clock::System, None)
    }

    fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Follows how far the read model is, until all receivers are gone.
    pub(crate) async fn run(self) {
        let Self { watcher, listener, freshness, pool } = self;
        drop((freshness, pool));
        watcher.run(listener).await;
    }
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
    operation_id = "projector_status",
    tag = "Administration",
    security(("api_key" = ["operator"])),
    responses((status = 200, description = "All versions and checkpoints", body = Status)),
)]
async fn status(State(doors): State<Doors>) -> Result<Json<Status>, Problem> {
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
