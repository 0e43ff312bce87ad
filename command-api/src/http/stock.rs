//! What is on hand of a SKU. A SKU may be in stock before a product has it.

use axum::extract::State;
use domain::{
    id::Sku,
    stock::{self, Stock},
};
use infra::http::{
    extract::Path,
    fields::Fields,
    problem::Problem,
    shapes,
    values::{Text, Whole},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{AcceptedOfStock, Reply},
    incoming::{Incoming, Origin},
    shapes::{Short, check_new_sku},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(receive)).routes(routes!(adjust))
}

/// Of which SKU.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct StockPath {
    #[param(inline, value_type = shapes::NewSku)]
    sku: Sku,
}

type Units = Whole<u32, 1, 4_294_967_295>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Receipt {
    quantity: Units,
    /// Of the delivery, say.
    reference: Option<Short>,
}

infra::validates!(Receipt: quantity, reference);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Correction {
    /// What to add; negative takes away.
    #[schema(example = -3)]
    delta: shapes::Any64,
    #[schema(example = "broken in the warehouse")]
    reason: Short,
}

infra::validates!(Correction: delta, reason);

/// Receive units
#[utoipa::path(
    post, path = "/v1/stock/{sku}/receive", operation_id = "receive_stock",
    tag = "stock", security(("api_key" = ["staff"])),
    params(StockPath, Incoming<Receipt>), request_body = Receipt,
    responses((status = 200, description = "Received", body = AcceptedOfStock)),
)]
async fn receive(
    State(app): State<AppState>,
    Path(StockPath { sku }): Path<StockPath>,
    Incoming { origin, body }: Incoming<Receipt>,
) -> Result<Reply, Problem> {
    let Receipt { quantity, reference } = body;
    let (quantity, reference) = (quantity.get(), reference.map(Text::into_string));
    change(&app, &origin, &sku, stock::Command::Receive { quantity, reference }).await
}

/// Correct what is on hand
///
/// What is reserved must stay covered.
#[utoipa::path(
    post, path = "/v1/stock/{sku}/adjust", operation_id = "adjust_stock",
    tag = "stock", security(("api_key" = ["staff"])),
    params(StockPath, Incoming<Correction>), request_body = Correction,
    responses((status = 200, description = "Corrected", body = AcceptedOfStock)),
)]
async fn adjust(
    State(app): State<AppState>,
    Path(StockPath { sku }): Path<StockPath>,
    Incoming { origin, body }: Incoming<Correction>,
) -> Result<Reply, Problem> {
    let Correction { delta, reason } = body;
    let (delta, reason) = (delta.get(), reason.into_string());
    change(&app, &origin, &sku, stock::Command::Adjust { delta, reason }).await
}

async fn change(
    app: &AppState,
    origin: &Origin,
    sku: &Sku,
    command: stock::Command,
) -> Result<Reply, Problem> {
    let mut fields = Fields::default();
    check_new_sku(&mut fields, "/sku", sku);
    fields.finish()?;
    origin.reply::<Stock>(app, sku, command).await
}
