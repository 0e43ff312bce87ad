//! `GET /v1/stock/{sku}`: for anyone.

use axum::{extract::State, response::Response};
use infra::{
    freshness::Projection,
    http::{
        etag::IfNoneMatch,
        extract::{Path, Query},
        problem::Problem,
    },
};
use read_models::stock::{STOCK, Stock};

use super::read::{AppState, NoParameters, OfSku, ReadRequest, answer_one};

const READS: &[Projection] = &[STOCK.shown()];

/// What is on hand of a SKU
#[utoipa::path(
    get,
    operation_id = "get_stock",
    path = "/v1/stock/{sku}",
    tag = "stock",
    params(OfSku, ReadRequest, IfNoneMatch),
    responses(
        (status = OK, body = Stock, headers(
            ("ETag" = String, description = "Revision of the stock"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn by_sku(
    State(app): State<AppState>,
    Path(OfSku { sku }): Path<OfSku>,
    Query(NoParameters {}): Query<NoParameters>,
    request: ReadRequest,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let position = app.reach(READS, &request).await?;
    let stock = app.read_model().stock.find(sku).await?;
    let stock = stock.ok_or_else(|| Problem::not_found("there is no stock of this SKU"))?;
    Ok(answer_one(stock, &position, &known))
}
