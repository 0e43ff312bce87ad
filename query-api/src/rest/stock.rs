//! `GET /v1/stock/{sku}`: for anyone.

use axum::{extract::State, response::Response};
use infra::{
    freshness::Projection,
    http::{extract::Path, problem::Problem},
};
use read_models::stock::{HISTORY, STOCK, Stock};

use super::{
    past::{AsOf, then},
    read::{AppState, OfSku, ReadPast},
    streams::READERS,
};

const READS: &[Projection] = &[STOCK.shown()];

/// What is on hand of a SKU
///
/// For anyone; what it was (`as_of`) for staff, analysts and operators.
#[utoipa::path(
    get,
    operation_id = "get_stock",
    path = "/v1/stock/{sku}",
    tag = "stock",
    params(OfSku, ReadPast),
    responses(
        (status = OK, body = AsOf<Stock>, headers(
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
    ReadPast { read, when }: ReadPast,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("there is no stock of this SKU");
    if !when.is_now() {
        read.request.caller.require(&READERS)?;
        let stream = sku.stock_stream();
        let then = then(&app, &read.request, &HISTORY, &stream, &when, unknown).await?;
        return then.answer(&read);
    }
    let position = app.reach(READS, &read.request).await?;
    let stock = app.read_model().stock.find(sku).await?;
    Ok(read.answer(stock.ok_or_else(unknown)?, &position))
}
