//! The operators' door over HTTP; the server adds health, metrics and documentation.

mod dead_letters;
mod keys;
mod versions;

use axum::{
    Json,
    extract::{FromRef, State},
    middleware::from_fn_with_state,
};
use infra::{
    auth::{Authenticator, KeyHash, guard},
    http::{docs::About, health::Readiness, problem::Problem, server::App, shapes},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{rebuild::Control, status::Status};

pub(crate) use keys::Keys;

const ABOUT: About = About {
    title: "Tradewind projector",
    description: "Read models, for operators: how far they are, rebuilds, switches, proofs.",
    version: env!("CARGO_PKG_VERSION"),
};

#[derive(Clone)]
struct Doors {
    authenticator: Authenticator,
    control: Control,
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
    let api = routes().route_layer(from_fn_with_state(keys.freshness(), keys::admit));
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
