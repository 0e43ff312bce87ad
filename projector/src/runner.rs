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
pub(crate) mod commit;
mod feed;
mod fold;
mod groups;
pub(crate) mod horizon;
pub(crate) mod meter;
mod shard;
mod shared;
mod trouble;

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    retry::Policy,
    shutdown::Shutdown,
    task::{self, TaskFailed},
};

pub(crate) use applier::is_transient;
pub(crate) use fold::{Fold, FoldError, Folded};
pub(crate) use groups::{Everything, fold_of};
pub(crate) use shared::{Shared, pool};

/// Between tries of what must be done in the end: for ever, for there is nothing else to do.
pub(crate) const RETRY: Policy = Policy {
    tries_max: None,
    wait_min: Duration::from_millis(20),
    wait_max: Duration::from_secs(1),
};

/// Feeds every version that this code can feed, in all shards, until the shutdown.
///
/// # Errors
/// If one of its tasks panics.
pub(crate) async fn run(everything: Arc<Everything>, shutdown: Shutdown) -> Result<(), TaskFailed> {
    let shards = (0..everything.shared.log.shard_count()).map(ShardId::new);
    let mut shards: FuturesUnordered<_> = shards
        .map(|shard| {
            let groups = groups::run(Arc::clone(&everything), shard, shutdown.clone());
            task::spawn("projector shard", groups)
        })
        .collect();
    while let Some(ended) = shards.next().await {
        ended??;
    }
    Ok(())
}
