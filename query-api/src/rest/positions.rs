//! `GET /v1/positions`: for anyone, for it tells of numbers only.

use axum::{Json, extract::State, response::Response};
use infra::{
    freshness::PositionRow,
    http::{extract::Query, problem::Problem},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::read::{AppState, NoParameters, ReadRequest, answer};
use crate::read_model::PROJECTIONS;

/// How far the projections are.
#[derive(Serialize, ToSchema)]
pub(super) struct Positions {
    items: Vec<PositionRow>,
    /// Always null: there are few enough for one page.
    next: Option<String>,
}

/// How far each projection has applied each shard
#[utoipa::path(
    get,
    operation_id = "list_positions",
    path = "/v1/positions",
    tag = "positions",
    params(ReadRequest),
    responses((status = OK, body = Positions, headers(
        ("Tradewind-Position" = String, description = "What every projection has applied"),
    ))),
    security((), ("api_key" = [])),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(NoParameters {}): Query<NoParameters>,
    request: ReadRequest,
) -> Result<Response, Problem> {
    let position = app.reach(PROJECTIONS, &request).await?;
    let items = app.read_model().positions().await?;
    Ok(answer(Json(Positions { items, next: None }), &position))
}
