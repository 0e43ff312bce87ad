//! Who serves which shard, for operators.

use axum::{Json, extract::State};
use infra::http::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;
use crate::engine::{Phase, ShardView};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Serialize, ToSchema)]
struct Shards {
    items: Vec<Shard>,
    /// One page holds all of them.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Shard {
    shard: u32,
    /// The node that should own it; nobody while none is known.
    owner: Option<Owner>,
    /// As its owner says: `serving`, `stalled`, `replaying`, `claiming` or `idle`; `unknown` if
    /// the owner does not answer.
    state: &'static str,
    /// Offset of the owner's claim.
    epoch: Option<i64>,
    /// Of the last commit.
    seq: Option<u64>,
    /// Offset after the last record that has been read.
    position: Option<i64>,
    /// Commands whose outcome is not settled.
    pending: Option<usize>,
    /// Where this node has read to, if it follows the shard or owns it.
    position_here: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShardOwner)]
struct Owner {
    node: String,
    url: String,
}

/// List the shards
///
/// The state of each shard, from the node that owns it.
#[utoipa::path(
    get, path = "/v1/shards", operation_id = "list_shards",
    tag = "operations", security(("api_key" = ["operator"])),
    responses((status = 200, description = "All shards", body = Shards)),
)]
async fn list(State(app): State<AppState>) -> Result<Json<Shards>, Problem> {
    let shards = app.engine.get()?.shards().await;
    Ok(Json(Shards { items: shards.into_iter().map(Shard::from).collect(), next: None }))
}

impl From<ShardView> for Shard {
    fn from(ShardView { shard, owner, at_owner, here }: ShardView) -> Self {
        let state = match &at_owner {
            None => "unknown",
            Some(status) if status.stalled => "stalled",
            Some(status) => match status.phase {
                Phase::Idle => "idle",
                Phase::Claiming => "claiming",
                Phase::Replaying => "replaying",
                Phase::Serving => "serving",
            },
        };
        let status = at_owner.as_ref();
        Self {
            shard: shard.index(),
            owner: owner.map(|member| Owner { node: member.node, url: member.url }),
            state,
            epoch: status.map(|status| status.epoch),
            seq: status.map(|status| status.seq),
            position: status.map(|status| status.next_offset),
            pending: status.map(|status| status.pending),
            position_here: here.next_offset,
        }
    }
}
