//! `GET /v1/wish-lists/{id}`: for staff. The worked example of docs/adding.md.

use axum::{extract::State, response::Response};
use domain::wish_list::WishListId;
use infra::{
    freshness::Projection,
    http::{extract::Id, problem::Problem},
};
use read_models::wish_lists::{WISH_LISTS, WishList};

use super::read::{AppState, ReadOne};

const READS: &[Projection] = &[WISH_LISTS.shown()];

/// One wish list
#[utoipa::path(
    get,
    operation_id = "get_wish_list",
    path = "/v1/wish-lists/{id}",
    tag = "example",
    params(Id<WishListId>, ReadOne),
    responses(
        (status = OK, body = WishList, headers(
            ("ETag" = String, description = "Revision of the wish list"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security(("api_key" = ["staff"])),
)]
pub(super) async fn by_id(
    State(app): State<AppState>,
    Id(id): Id<WishListId>,
    read: ReadOne,
) -> Result<Response, Problem> {
    let position = app.reach(READS, &read.request).await?;
    let list = app.read_model().wish_lists.find(id.uuid()).await?;
    let list = list.ok_or_else(|| Problem::not_found("there is no such wish list"))?;
    Ok(read.answer(list, &position))
}
