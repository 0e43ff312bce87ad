//! What is on hand of a SKU. A SKU may be in stock before a product has it.

use axum::extract::State;
use domain::{Command, id::Sku, stock};
use infra::http::{
    extract::Path,
    fields::{Fields, Validate},
    problem::Problem,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Accepted, Reply},
    incoming::{Incoming, Origin, Staff},
    shapes::{CommandHeaders, SHORT_CHARS_MAX, check_new_sku},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(receive)).routes(routes!(adjust))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Receipt {
    #[schema(minimum = 1)]
    quantity: u32,
    /// Of the delivery, say.
    reference: Option<String>,
}

impl Validate for Receipt {
    fn validate(&self, fields: &mut Fields) {
        fields.range("/quantity", self.quantity, 1..=u32::MAX);
        if let Some(reference) = &self.reference {
            fields.text("/reference", reference, SHORT_CHARS_MAX);
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Correction {
    /// What to add; negative takes away.
    #[schema(example = -3)]
    delta: i64,
    #[schema(example = "broken in the warehouse")]
    reason: String,
}

impl Validate for Correction {
    fn validate(&self, fields: &mut Fields) {
        fields.text("/reason", &self.reason, SHORT_CHARS_MAX);
    }
}

/// Receive units
#[utoipa::path(
    post, path = "/v1/stock/{sku}/receive", operation_id = "receive_stock",
    tag = "stock", security(("api_key" = ["staff"])),
    params(("sku" = String, Path), CommandHeaders), request_body = Receipt,
    responses((status = 200, description = "Received", body = Accepted)),
)]
async fn receive(
    State(app): State<AppState>,
    _: Staff,
    Path(sku): Path<Sku>,
    Incoming { origin, body }: Incoming<Receipt>,
) -> Result<Reply, Problem> {
    let Receipt { quantity, reference } = body;
    change(&app, &origin, &sku, stock::Command::Receive { quantity, reference }).await
}

/// Correct what is on hand
///
/// What is reserved must stay covered.
#[utoipa::path(
    post, path = "/v1/stock/{sku}/adjust", operation_id = "adjust_stock",
    tag = "stock", security(("api_key" = ["staff"])),
    params(("sku" = String, Path), CommandHeaders), request_body = Correction,
    responses((status = 200, description = "Corrected", body = Accepted)),
)]
async fn adjust(
    State(app): State<AppState>,
    _: Staff,
    Path(sku): Path<Sku>,
    Incoming { origin, body }: Incoming<Correction>,
) -> Result<Reply, Problem> {
    let Correction { delta, reason } = body;
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
    let stream = sku.stock_stream();
    let answer = origin.submit(app, stream.clone(), Command::Stock(command)).await?;
    Reply::of(&stream, &answer)
}
