//! Commands over HTTP: extract, call the engine, answer. One file per resource.
//!
//! All commands take one way: [`incoming`] reads who asks for what under which key, a handler
//! turns it into a domain command and its stream, the engine decides, [`answer`] tells. Handlers
//! look things up for a command, but never decide: every no that depends on state comes from the
//! engine, which stores it under the request's key.

mod answer;
mod api_keys;
mod batch;
mod carts;
mod directory;
mod engine_slot;
mod incoming;
mod open_checkouts;
mod parked_steps;
pub(crate) mod peers;
mod products;
mod shapes;
mod shards;
mod state;
mod stock;
mod webhooks;
#[cfg(any(test, feature = "testing"))]
mod wish_lists;

use axum::Router;
use infra::{
    auth::guard,
    config::Rates,
    http::{
        docs::About,
        edge::{EdgeLayer, Limits},
        health::Readiness,
        problem::Problem,
        rates::Weight,
        server::App,
    },
};
use utoipa_axum::router::OpenApiRouter;

pub use engine_slot::EngineSlot;
pub use state::{AppState, Ingredients};

const ABOUT: About = About {
    title: "Tradewind command API",
    description: "Commands that change a shop: its catalogue, stock, carts and orders.",
    version: env!("CARGO_PKG_VERSION"),
};

/// What is dearer than other commands: it leads to several streams, or to the outside.
const WEIGHTS: &[Weight] = &[
    Weight::of("/v1/carts/{id}/checkout", 10),
    Weight::of("/v1/carts", 4),
    Weight::of("/v1/batch", 10),
];

/// Everything that the command API serves.
#[must_use]
pub fn app(state: &AppState, readiness: Readiness, limits: Limits) -> App {
    let guarded = commands().merge(parked_steps::routes()).merge(shards::routes());
    let api = guard(guarded, state.authenticator.clone())
        // They prove otherwise who they are.
        .merge(webhooks::routes())
        .with_state(state.clone())
        .merge(guard(
            batch::routes(state.clone(), inner(state, limits)),
            state.authenticator.clone(),
        ));
    let limits = Limits { weights: WEIGHTS, ..limits };
    let alone = Limits { rates: Rates::NONE, ..limits };
    let internal = peers::routes(state.gate.clone()).with_state(state.clone());
    App::new(&ABOUT, api, readiness, limits).with_internal(internal, alone)
}

/// What a batch's line may ask for.
fn commands() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .merge(products::routes())
        .merge(stock::routes())
        .merge(carts::routes())
        .merge(api_keys::routes());
    #[cfg(any(test, feature = "testing"))]
    let routes = routes.merge(wish_lists::routes());
    routes
}

/// Each line has a time and a trace as a request of its own would, and if it panics, it does so alone.
fn inner(state: &AppState, limits: Limits) -> Router {
    let routes = guard(commands(), state.authenticator.clone());
    let (routes, _contract) = routes.split_for_parts();
    routes
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(EdgeLayer::new(Limits { rates: Rates::NONE, ..limits }))
        .with_state(state.clone())
}

#[cfg(test)]
mod tests;
