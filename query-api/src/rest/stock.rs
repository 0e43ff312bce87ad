//! `GET /v1/stock/{sku}`: for anyone.

use axum::{extract::State, response::Response};
use infra::{
    freshness::Projection,
    http::{extract::Path, problem::Problem},
};
use read_models::stock::{STOCK, Stock};

use super::read::{AppState, OfSku, ReadOne};

const READS: &[Projection] = &[STOCK.shown()];

/// What is on hand of a SKU
#[utoipa::path(
    get,
    operation_id = "get_stock",
    path = "/v1/stock/{sku}",
    tag = "stock",
    params(OfSku, ReadOne),
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
    read: ReadOne,
) -> Result<Response, Problem> {
    let position = app.reach(READS, &read.request).await?;
    let stock = app.read_model().stock.find(sku).await?;
    let stock = stock.ok_or_else(|| Problem::not_found("there is no stock of this SKU"))?;
    Ok(read.answer(stock, &position))
}
