//! `GET /v1/carts/{id}`: for staff, and for the guest who holds the cart's token.

use axum::{extract::State, response::Response};
use domain::{
    StreamType,
    api_key::Role,
    id::{CartId, StreamId},
};
use infra::{
    auth::OpenCart,
    freshness::Projection,
    http::{extract::Id, problem::Problem},
};
use read_models::carts::{CARTS, Cart, HISTORY};

use super::{
    past::{AsOf, then},
    read::{AppState, ReadPast},
};

const READS: &[Projection] = &[CARTS.shown()];

/// One cart
///
/// For staff, and for the guest who holds the cart's token; for others it does not exist. A cart that
/// has ended is not there any more: a guest's ends 7 days after its last change, and 7 days after its
/// checkout; one of staff 30 days after its last change, unless it was checked out.
#[utoipa::path(
    get,
    operation_id = "get_cart",
    path = "/v1/carts/{id}",
    tag = "carts",
    params(Id<CartId>, OpenCart, ReadPast),
    responses(
        (status = OK, body = AsOf<Cart>, headers(
            ("ETag" = String, description = "Revision of the cart"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn by_id(
    State(app): State<AppState>,
    Id(id): Id<CartId>,
    OpenCart(open_cart): OpenCart,
    ReadPast { read, when }: ReadPast,
) -> Result<Response, Problem> {
    let hidden = || Problem::not_found("there is no such cart, or it is not yours to see");
    if !read.request.caller.has(Role::Staff) && open_cart != Some(id) {
        return Err(hidden());
    }
    if !when.is_now() {
        let stream = StreamId::new(StreamType::Cart, id);
        let then = then(&app, &read.request, &HISTORY, &stream, &when, hidden).await?;
        return then.answer(&read);
    }
    let position = app.reach(READS, &read.request).await?;
    let cart = app.read_model().carts.find(id.uuid()).await?.ok_or_else(hidden)?;
    Ok(read.answer(cart, &position))
}
