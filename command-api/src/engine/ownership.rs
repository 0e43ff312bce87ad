//! Which shards this node should own: it beats, hears the others, and tells its shards.
//!
//! All of it is a hint. A node that is wrong about it claims a shard in vain or is deposed; no
//! command is lost or doubled by that.

use domain::shard::ShardId;
use infra::{
    membership::{BEAT_EVERY, Beat, Beats, BeatsFailed, Roster, View},
    shutdown::Shutdown,
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::info;

use super::Node;

/// Nodes beside the owner that follow a shard, so that one of them takes over without a replay.
const STANDBY_REPLICAS: usize = 1;

/// What a node is to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Owner,
    /// Follows the log, to take over when the owner goes.
    Standby,
    Away,
}

impl Role {
    /// `None` while nobody is known who could own the shard.
    pub(super) fn of(view: &View, shard: ShardId, node: &str) -> Option<Self> {
        let owner = view.owner(shard)?;
        Some(match view.rank(shard, node) {
            _ if owner.node == node => Self::Owner,
            Some(rank) if rank <= STANDBY_REPLICAS => Self::Standby,
            Some(_) | None => Self::Away,
        })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Standby => "standby",
            Self::Away => "away",
        }
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
    /// # Errors
    /// The topic of the nodes cannot be used.
    pub async fn run(mut self, draining: Shutdown, left: Shutdown) -> Result<(), BeatsFailed> {
        let mut roster = Roster::default();
        let mut beat = Beat { url: self.node.url.clone(), draining: false };
        let mut ticks = interval(BEAT_EVERY);
        // A node that was stopped for a while need not make up for the beats that it missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = self.beats.hear() => {
                    roster.hear(heard?);
                    let view = roster.view();
                    self.view.send_if_modified(|seen| {
                        let changed = *seen != view;
                        if changed {
                            tell(&view);
                            *seen = view;
                        }
                        changed
                    });
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
}

fn tell(view: &View) {
    let names = view.members().iter().map(|member| {
        format!("{}{}", member.node, if member.draining { " (draining)" } else { "" })
    });
    let names: Vec<_> = names.collect();
    info!("nodes alive: {}", names.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_one_owner_and_one_standby() {
        let mut roster = Roster::default();
        for node in ["a", "b", "c"] {
            let beat = Beat { url: format!("http://{node}"), draining: false };
            roster.hear(infra::membership::Heard {
                node: node.to_owned(),
                beat: Some(beat),
                at: 0,
            });
        }
        let view = roster.view();
        for shard in (0..8).map(ShardId::new) {
            let mut roles = ["a", "b", "c"].map(|node| Role::of(&view, shard, node).unwrap());
            roles.sort_by_key(|role| role.as_str());
            assert_eq!(roles, [Role::Away, Role::Owner, Role::Standby]);
        }
        assert_eq!(Role::of(&View::default(), ShardId::new(0), "a"), None);
    }
}
