//! Wish lists, which staff keep for customers: the worked example of docs/adding.md.

use axum::extract::State;
use domain::{
    id::Sku,
    wish_list::{Command, WishList, WishListId},
};
use infra::http::{
    extract::{Id, Path},
    problem::Problem,
    shapes,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Accepted, Reply},
    incoming::Incoming,
    shapes::{Empty, Short},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(add, remove)).routes(routes!(rename))
}

/// Which entry of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct Entry {
    #[param(inline, value_type = shapes::Sku)]
    sku: Sku,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewName {
    #[schema(example = "birthday")]
    name: Short,
}

infra::validates!(NewName: name);

/// Add a SKU to a wish list
///
/// A list begins with the first one.
#[utoipa::path(
    put, path = "/v1/wish-lists/{id}/skus/{sku}", operation_id = "add_to_wish_list",
    tag = "example", security(("api_key" = ["staff"])),
    params(Id<WishListId>, Entry, Incoming<Empty>),
    responses((status = 200, description = "Added", body = Accepted)),
)]
async fn add(
    State(app): State<AppState>,
    Id(id): Id<WishListId>,
    Path(Entry { sku }): Path<Entry>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    origin.reply::<WishList>(&app, &id, Command::Add { sku }).await
}

/// Remove a SKU from a wish list
#[utoipa::path(
    delete, path = "/v1/wish-lists/{id}/skus/{sku}", operation_id = "remove_from_wish_list",
    tag = "example", security(("api_key" = ["staff"])),
    params(Id<WishListId>, Entry, Incoming<Empty>),
    responses((status = 200, description = "Removed", body = Accepted)),
)]
async fn remove(
    State(app): State<AppState>,
    Id(id): Id<WishListId>,
    Path(Entry { sku }): Path<Entry>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    origin.reply::<WishList>(&app, &id, Command::Remove { sku }).await
}

/// Rename a wish list
#[utoipa::path(
    put, path = "/v1/wish-lists/{id}/name", operation_id = "rename_wish_list",
    tag = "example", security(("api_key" = ["staff"])),
    params(Id<WishListId>, Incoming<NewName>), request_body = NewName,
    responses((status = 200, description = "Renamed", body = Accepted)),
)]
async fn rename(
    State(app): State<AppState>,
    Id(id): Id<WishListId>,
    Incoming { origin, body }: Incoming<NewName>,
) -> Result<Reply, Problem> {
    origin.reply::<WishList>(&app, &id, Command::Rename { name: body.name.into_string() }).await
}
