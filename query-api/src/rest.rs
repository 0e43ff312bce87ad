//! The REST reads: one file per resource, each handler below its contract.
//!
//! A handler takes the caller and the wanted freshness, waits for that, reads, and answers with the
//! position that the answer reflects (`read`).
//!
//! **Invariant:** the position of an answer is taken before its read begins, so that it never claims
//! more than the answer shows.

mod carts;
mod events;
mod orders;
mod past;
mod positions;
mod products;
mod read;
mod reports;
mod schemas;
mod shown;
mod stock;
mod streams;
mod when;
#[cfg(any(test, feature = "testing"))]
mod wish_lists;

use axum::extract::FromRef;
use infra::{
    auth::{Authenticator, guard},
    http::{docs::About, rates::Weight},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use read::AppState;

pub(crate) const ABOUT: About = About {
    title: "Tradewind query API",
    description: "Reads of the catalogue, stock, carts, orders, reports and events. Send the \
                  `Tradewind-Position` of a command's answer to see what it did.",
    version: env!("CARGO_PKG_VERSION"),
};

/// What is dearer than other reads.
pub(crate) const WEIGHTS: &[Weight] = &[
    Weight::of("/v1/events", 100),
    Weight::of("/v1/reports/sales", 20),
    Weight::with("/v1/products", "q", 5),
    Weight::of("/v1/products", 2),
    Weight::of("/v1/orders", 2),
    Weight::with("/v1/products/{id}", "as_of", 5),
    Weight::with("/v1/stock/{sku}", "as_of", 5),
    Weight::with("/v1/carts/{id}", "as_of", 5),
    Weight::with("/v1/orders/{id}", "as_of", 5),
    Weight::of("/v1/streams", 20),
    Weight::of("/v1/streams/{type}/{id}/events", 2),
];

/// All routes with their contract.
pub(crate) fn routes(state: AppState) -> OpenApiRouter {
    let routes = OpenApiRouter::new()
        .routes(routes!(products::list))
        .routes(routes!(products::by_id))
        .routes(routes!(products::by_sku))
        .routes(routes!(stock::by_sku))
        .routes(routes!(carts::by_id))
        .routes(routes!(orders::list))
        .routes(routes!(orders::by_id))
        .routes(routes!(reports::sales))
        .routes(routes!(events::replay))
        .routes(routes!(schemas::list))
        .routes(routes!(schemas::of_type))
        .routes(routes!(schemas::asyncapi))
        .routes(routes!(streams::list))
        .routes(routes!(streams::events))
        .routes(routes!(positions::list));
    #[cfg(any(test, feature = "testing"))]
    let routes = routes.routes(routes!(wish_lists::by_id));
    guard(routes, Authenticator::from_ref(&state)).with_state(state)
}

#[cfg(test)]
mod tests;
