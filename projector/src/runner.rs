//! Runs the projections over the shards.
//!
//! ```text
//!             ┌ dispatcher: reads the log once, decodes once   ┐
//! log ──────▶ │                                                │ ──▶ applier per projection
//!             └ waits a little for those that are slow         ┘     one transaction per batch
//! ```
//! A projection that is too slow for it, or far behind, reads the log alone until it has caught up.
//!
//! Who serves which shard is only a question of economy. Two projectors that serve the same shard
//! waste work and nothing else: the checkpoint's compare-and-set sees to that.
//!
//! **Invariant:** the position comes from PostgreSQL, nowhere else.

mod applier;
mod batch;
pub(crate) mod commit;
mod dispatcher;
mod fold;
mod groups;
mod isolate;
pub(crate) mod log_end;
pub(crate) mod meter;
mod notices;
mod shard;
mod shared;
mod sharing;
mod subscription;
mod together;
mod write;

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    retry::Policy,
    shutdown::Shutdown,
    task::{self, TaskFailed},
};

pub(crate) use commit::{Commit, RecordedEvent, decode};
pub(crate) use groups::{Projector, fold_of};
pub(crate) use isolate::{Isolation, Misfit, is_about_data};
pub(crate) use shared::{Shared, pool};
pub(crate) use write::{Failed, Phase, Writer, is_transient};

/// Between tries of what must be done in the end: for ever, for there is nothing else to do.
pub(crate) const RETRY: Policy = Policy {
    tries_max: None,
    wait_min: Duration::from_millis(20),
    wait_max: Duration::from_secs(1),
};

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
        Shards::All => run_all(projector, shutdown).await,
    }
}

async fn run_all(projector: Arc<Projector>, shutdown: Shutdown) -> Result<(), TaskFailed> {
    let shards = (0..projector.shared.log.shard_count()).map(ShardId::new);
    let mut shards: FuturesUnordered<_> = shards
        .map(|shard| {
            let groups = groups::run(Arc::clone(&projector), shard, shutdown.clone());
            task::spawn("projector shard", groups)
        })
        .collect();
    while let Some(ended) = shards.next().await {
        ended??;
    }
    Ok(())
}
