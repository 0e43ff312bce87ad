//! What a node waits for when it comes and when it goes, so that its shards are served meanwhile.

use domain::shard::ShardId;
use infra::{log::EventLog, membership::View};

use super::{Engine, Phase, ShardStatus, ask::OWNER_SOUGHT};

impl Engine {
    /// Whether this node is there for shards, be it without one.
    #[must_use]
    pub fn wants_shards(&self) -> bool {
        let view = self.cluster.view.borrow();
        view.members().iter().any(|member| self.is_this(member) && !member.draining)
    }

    /// Waits until this node serves nothing any more, for others should. A node keeps its shards
    /// when there is no other that wants them, or none is left while it waits.
    pub async fn handed_over(&self) {
        let mut view = self.cluster.view.clone();
        let nobody_wants = |view: &View| {
            view.members().iter().all(|member| member.draining || self.is_this(member))
        };
        tokio::select! {
            biased;
            // A view that is never told again has no others in it.
            _ = view.wait_for(nobody_wants) => {}
            () = self.given_away() => {}
        }
    }

    /// Waits until this node could serve at once what would be its own, or nobody else does.
    pub async fn caught_up(&self, log: &dyn EventLog) {
        let mut view = self.cluster.view.clone();
        let nobody_serves = |view: &View| view.owner(ShardId::new(0)).is_none();
        tokio::select! {
            biased;
            _ = view.wait_for(nobody_serves) => {}
            () = self.followed(log) => {}
        }
    }

    /// Waits until all has been read that the log holds by now of the shards that would be served
    /// here.
    async fn followed(&self, log: &dyn EventLog) {
        let view = self.cluster.view.borrow().clone();
        let shards = (0..self.shard_count()).map(ShardId::new);
        for shard in shards.filter(|shard| view.rank(*shard, &self.node) == 0) {
            let mut waits = OWNER_SOUGHT.waits();
            let end = loop {
                match log.range(shard).await {
                    Ok(range) => break range.end,
                    Err(error) => {
                        tracing::debug!(%shard, %error, "the end of shard {shard} is not known");
                        waits.wait().await;
                    }
                }
            };
            let mut status = self.handle(shard).status.clone();
            let followed = |status: &ShardStatus| status.next_offset >= end;
            // A shard that has ended ends the node.
            status.wait_for(followed).await.ok();
        }
    }

    async fn given_away(&self) {
        let mut view = self.cluster.view.clone();
        let shards = || (0..self.shard_count()).map(ShardId::new);
        let others_own = |view: &View| {
            shards().all(|shard| view.owner(shard).is_some_and(|owner| !self.is_this(owner)))
        };
        if view.wait_for(others_own).await.is_ok() {
            for shard in shards() {
                self.served_here(shard, false).await;
            }
        }
    }

    /// Waits until the shard is served here, or no longer is.
    pub async fn served_here(&self, shard: ShardId, served: bool) {
        let mut status = self.handle(shard).status.clone();
        let wanted = |status: &ShardStatus| (status.phase == Phase::Serving) == served;
        let ended = status.wait_for(wanted).await.is_err();
        // A shard that has ended will not be served again.
        if ended && served {
            std::future::pending::<()>().await;
        }
    }
}
