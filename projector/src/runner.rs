//! Runs the projections over the shards.
//!
//! ```text
//!             ┌ feed: reads the shard's log once, decodes once ┐
//! log ──────▶ │                                                │ ──▶ applier per projection
//!             └ begins at the lowest stored checkpoint         ┘     one transaction per batch
//! ```
//!
//! Who serves which shard is only a question of economy. Two projectors that serve the same shard
//! waste work and nothing else: the checkpoint's compare-and-set sees to that.
//!
//! **Invariant:** the position comes from PostgreSQL, nowhere else.

mod applier;
mod commit;
mod feed;
mod fold;
mod horizon;
mod meter;
mod shard;
mod shared;
mod trouble;

use std::sync::Arc;

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    shutdown::Shutdown,
    task::{self, TaskFailed},
    telemetry::emit,
};

use crate::{metrics::NotPrepared, schema};

pub(crate) use fold::{Fold, Folded};
pub(crate) use shared::{Shared, pool};

/// Serves all shards until the shutdown.
///
/// # Errors
/// If one of its tasks panics.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: Shutdown) -> Result<(), TaskFailed> {
    tokio::select! {
        () = prepare(&shared) => {}
        () = shutdown.requested() => return Ok(()),
    }
    let shards = (0..shared.log.shard_count()).map(ShardId::new);
    let mut shards: FuturesUnordered<_> = shards
        .map(|shard| {
            task::spawn("projector shard", shard::run(Arc::clone(&shared), shard, shutdown.clone()))
        })
        .collect();
    while let Some(ended) = shards.next().await {
        ended??;
    }
    Ok(())
}

/// Makes the tables, however long PostgreSQL is away.
async fn prepare(shared: &Shared) {
    let mut waits = applier::RETRY.waits();
    let everywhere = ("all projections", ShardId::new(0));
    while let Err(error) = schema::ensure(&shared.pool, &shared.projections).await {
        emit(NotPrepared { error: &error });
        shared.postgres.raise(everywhere, schema::explain(&error).to_owned());
        waits.wait().await;
    }
    shared.postgres.clear(&everywhere);
}
