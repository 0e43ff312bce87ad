//! This node, those that it shares the shards with, and which of the shards it should own: it beats, hears
//! the others, and tells its shards.
//!
//! All of it is a hint. A node that is wrong about it claims a shard in vain or is deposed; no
//! command is lost or doubled by that.

use std::{pin::pin, sync::Arc};

use domain::shard::ShardId;
use infra::{
    log::Nonce,
    membership::{BEAT_EVERY, Beat, Beats, BeatsFailed, Roster, View},
    shutdown::Shutdown,
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::info;

use super::{
    effect::Role,
    forward::{NoPeers, Peers},
};

/// Who this node is, as its claims tell.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub url: String,
}

/// The nodes that share the shards, and how to ask them.
#[derive(Clone)]
pub struct Cluster {
    pub view: watch::Receiver<View>,
    pub peers: Arc<dyn Peers>,
    /// Nodes beside its owner that follow a shard.
    pub standby_replicas: usize,
}

impl Cluster {
    /// Of this node only.
    #[must_use]
    pub fn alone(node: &Node) -> Self {
        let (_never_changes, view) = watch::channel(View::alone(&node.name, &node.url));
        Self { view, peers: Arc::new(NoPeers), standby_replicas: 0 }
    }
}

impl Role {
    /// `None` while nobody is known who could own the shard. So many nodes beside the owner follow
    /// it, so that one of them takes over without a replay.
    pub(super) fn of(
        view: &View,
        shard: ShardId,
        node: &str,
        standby_replicas: usize,
    ) -> Option<Self> {
        let owner = view.owner(shard)?;
        Some(match view.rank(shard, node) {
            _ if owner.node == node => Self::Owner,
            // A node that has just come follows what it is about to take.
            rank if rank <= standby_replicas => Self::Standby,
            _ => Self::Away,
        })
    }
}

/// Keeps the view of the nodes; run it with [`Ownership::run`].
pub struct Ownership {
    beats: Box<dyn Beats>,
    node: Node,
    view: watch::Sender<View>,
}

impl Ownership {
    #[must_use]
    pub fn new(beats: Box<dyn Beats>, node: Node) -> (Self, watch::Receiver<View>) {
        let (view, seen) = watch::channel(View::default());
        (Self { beats, node, view }, seen)
    }

    /// Beats until `left` is requested. From `draining` on the node wants no shard any more.
    ///
    /// Nor does it before it has heard itself and is `ready`. What it hears until then is the past,
    /// by which it would claim shards that have an owner; and what others hand over to it as soon
    /// as they hear that it wants it would not be served until it is ready.
    ///
    /// # Errors
    /// The topic of the nodes cannot be used.
    pub async fn run(
        mut self,
        ready: impl Future<Output = ()>,
        draining: Shutdown,
        left: Shutdown,
    ) -> Result<(), BeatsFailed> {
        let mut roster = Roster::default();
        let (mut has_come, mut is_ready) = (false, false);
        let mut ready = pin!(ready);
        let mut beat = Beat::new(&self.node.url, Nonce::random(), true);
        let mut ticks = interval(BEAT_EVERY);
        // A node that was stopped for a while need not make up for the beats that it missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = self.beats.hear() => {
                    let heard = heard?;
                    let is_own = heard.beat.as_ref().is_some_and(|heard| heard.run == beat.run);
                    roster.hear(heard);
                    has_come |= is_own;
                    if has_come {
                        self.show(roster.view());
                    }
                }
                () = &mut ready, if has_come && !is_ready => {
                    is_ready = true;
                    beat.draining = draining.is_requested();
                    ticks.reset_immediately();
                }
                _ = ticks.tick() => self.beats.send(&self.node.name, Some(&beat)),
                () = draining.requested(), if !beat.draining => {
                    beat.draining = true;
                    ticks.reset_immediately();
                }
                () = left.requested() => {
                    self.beats.send(&self.node.name, None);
                    return Ok(());
                }
            }
        }
    }

    fn show(&self, view: View) {
        self.view.send_if_modified(|seen| {
            let changed = *seen != view;
            if changed {
                tell(&view);
                *seen = view;
            }
            changed
        });
    }
}

fn tell(view: &View) {
    let names = view.members().iter().map(|member| {
        format!("{}{}", member.node, if member.draining { " (wants no shards)" } else { "" })
    });
    let names: Vec<_> = names.collect();
    info!("nodes alive: {}", names.join(", "));
}

#[cfg(test)]
mod tests;
