//! Who serves what: the shards are shared among the projectors that live, and each shard feeds the versions
//! that this code can feed, one way or another.
//!
//! Who serves which shard is only a question of economy. Two projectors that serve the same shard
//! waste work and nothing else: the checkpoint's compare-and-set sees to that.

pub(crate) mod groups;
pub(crate) mod lifecycle;
mod next;
mod shares;
mod sharing;
pub(crate) mod startup;

use std::sync::Arc;

use domain::shard::ShardId;
use futures_util::future::try_join_all;
use infra::{shutdown::Shutdown, task::TaskFailed};

use groups::Projector;

/// Which shards a projector serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// Its share of them: others serve the rest.
    Shared,
    /// All of them, whatever others do. For tests of what happens then.
    All,
}

/// Feeds every version that this code can feed, in the shards that are this projector's, until the
/// shutdown.
pub(crate) async fn run(
    projector: Arc<Projector>,
    shards: Shards,
    shutdown: Shutdown,
) -> Result<(), TaskFailed> {
    match shards {
        Shards::Shared => sharing::run(projector, shutdown).await,
        Shards::All => {
            let shards = (0..projector.shared.log.shard_count()).map(ShardId::new);
            let run = |shard| groups::run(Arc::clone(&projector), shard, shutdown.clone());
            try_join_all(shards.map(run)).await.map(drop)
        }
    }
}
