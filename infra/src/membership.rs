//! Which nodes are alive, and which of them should own which shard.
//!
//! Each node beats on a topic of its own kind ([`kafka`]) and hears the beats of all. Time is that
//! of the broker, which stamps each beat: so all nodes that have heard the same beats see the same
//! nodes alive, whatever their own clocks say, and one that is cut off from the brokers keeps the
//! last picture instead of taking everybody else for dead.
//!
//! All that nodes say, here and to each other over HTTP, bears a MAC under the secret that they share
//! ([`seal`]).
//!
//! **Invariant:** all of this is a hint. Who owns a shard is decided by its claims alone.

pub mod kafka;
pub mod memory;
pub mod seal;
mod signed;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    capability::{Capabilities, capabilities},
    shard::ShardId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::log::{BoxError, Nonce};

/// How often a node beats.
pub const BEAT_EVERY: Duration = Duration::from_millis(200);

/// A node that has not beaten for this long is dead to the others. The beat that tells them may come
/// one interval later: so they know within a second.
const DEAD_AFTER_MILLIS: i64 = 800;

/// Nodes that are remembered; the longest silent ones are forgotten first.
const NODES_MAX: usize = 1_000;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    pub url: String,
    /// Tells this run of the node from earlier ones.
    pub run: Nonce,
    /// It wants no shard: it has just come and could not serve yet, or is about to go.
    pub draining: bool,
    /// The commands that its release knows: it is sent no others.
    #[serde(default)]
    pub commands: Arc<Capabilities>,
}

impl Beat {
    /// Of a node of this release.
    #[must_use]
    pub fn new(url: &str, run: Nonce, draining: bool) -> Self {
        Self { url: url.to_owned(), run, draining, commands: Arc::clone(capabilities()) }
    }
}

/// A beat as all nodes hear it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub node: String,
    /// `None`: the node has left.
    pub beat: Option<Beat>,
    /// The broker's time, in milliseconds.
    pub at: i64,
}

/// Where nodes beat and hear each other.
#[async_trait]
pub trait Beats: Send + 'static {
    /// Sends a beat, or that the node leaves, and returns at once. A lost one is made up by the
    /// next.
    fn send(&mut self, node: &str, beat: Option<&Beat>);

    /// The next beat of any node, this one's included. Dropping the future loses none.
    async fn hear(&mut self) -> Result<Heard, BeatsFailed>;
}

/// No waiting mends it.
#[derive(Debug, thiserror::Error)]
#[error("the nodes' topic cannot be used")]
pub struct BeatsFailed(#[source] pub BoxError);

/// A node that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub node: String,
    pub url: String,
    pub draining: bool,
    pub commands: Arc<Capabilities>,
}

/// The nodes that are alive, as of the beats heard. Empty until the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    members: Vec<Member>,
}

impl View {
    /// A view that never changes: this node and nobody else.
    #[must_use]
    pub fn alone(node: &str, url: &str) -> Self {
        let (node, url, commands) = (node.to_owned(), url.to_owned(), Arc::clone(capabilities()));
        Self { members: vec![Member { node, url, draining: false, commands }] }
    }

    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The one that should own the shard: that of [`View::rank`] 0.
    #[must_use]
    pub fn owner(&self, shard: ShardId) -> Option<&Member> {
        match &*self.members {
            // Every command asks, and a hash takes as long as the rest of its routing.
            [alone] if !alone.draining => Some(alone),
            _ => self.candidates().max_by_key(|member| weight(&member.node, shard)),
        }
    }

    /// How many of those that may own the shard come before the node, which need not be one of
    /// them: the owner is the first, by rendezvous hashing (Thaler and Ravishankar, 1998). When a
    /// node comes or goes, only its own shards change hands.
    #[must_use]
    pub fn rank(&self, shard: ShardId, node: &str) -> usize {
        let own = weight(node, shard);
        self.candidates().filter(|member| weight(&member.node, shard) > own).count()
    }

    fn candidates(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.draining)
    }
}

fn weight(node: &str, shard: ShardId) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(shard.index().to_be_bytes()).chain_update(node);
    hash.finalize().into()
}

/// Folds beats into a view. Pure: its only clock is the broker's.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    last: BTreeMap<String, (i64, Beat)>,
    now: i64,
}

impl Roster {
    pub fn hear(&mut self, heard: Heard) {
        self.now = self.now.max(heard.at);
        match heard.beat {
            Some(beat) => self.last.insert(heard.node, (heard.at, beat)),
            None => self.last.remove(&heard.node),
        };
        if self.last.len() > NODES_MAX {
            let silent = self.last.iter().min_by_key(|(_, (at, _))| *at);
            let silent = silent.map(|(node, _)| node.clone());
            silent.and_then(|node| self.last.remove(&node));
        }
    }

    #[must_use]
    pub fn view(&self) -> View {
        let alive = |at: i64| self.now.saturating_sub(at) < DEAD_AFTER_MILLIS;
        let members = self.last.iter().filter(|(_, (at, _))| alive(*at));
        let members = members.map(|(node, (_, beat))| Member {
            node: node.clone(),
            url: beat.url.clone(),
            draining: beat.draining,
            commands: Arc::clone(&beat.commands),
        });
        View { members: members.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARDS: u32 = 64;

    fn heard(node: &str, at: i64) -> Heard {
        let beat = Beat::new(&format!("http://{node}"), Nonce(1), false);
        Heard { node: node.to_owned(), beat: Some(beat), at }
    }

    fn roster(beats: impl IntoIterator<Item = Heard>) -> Roster {
        let mut roster = Roster::default();
        beats.into_iter().for_each(|beat| roster.hear(beat));
        roster
    }

    fn nodes(view: &View) -> Vec<&str> {
        view.members().iter().map(|member| member.node.as_str()).collect()
    }

    #[test]
    fn a_node_is_dead_when_others_have_beaten_long_enough_without_it() {
        let mut roster = roster([heard("a", 0), heard("b", 0)]);
        roster.hear(heard("a", 799));
        assert_eq!(nodes(&roster.view()), ["a", "b"]);
        roster.hear(heard("a", 800));
        assert_eq!(nodes(&roster.view()), ["a"]);
    }

    #[test]
    fn silence_of_all_kills_nobody() {
        let roster = roster([heard("a", 0), heard("b", 500)]);
        assert_eq!(nodes(&roster.view()), ["a", "b"]);
    }

    #[test]
    fn a_node_that_leaves_is_gone_at_once() {
        let mut roster = roster([heard("a", 0), heard("b", 0)]);
        roster.hear(Heard { node: "b".to_owned(), beat: None, at: 1 });
        assert_eq!(nodes(&roster.view()), ["a"]);
    }

    #[test]
    fn shards_are_spread_and_only_those_of_a_lost_node_move() {
        let all = roster(["a", "b", "c"].map(|node| heard(node, 0))).view();
        let fewer = roster(["a", "c"].map(|node| heard(node, 0))).view();
        let mut owned: BTreeMap<&str, u32> = BTreeMap::new();
        for shard in (0..SHARDS).map(ShardId::new) {
            let owner = &*all.owner(shard).unwrap().node;
            *owned.entry(owner).or_default() += 1;
            assert_eq!(all.rank(shard, owner), 0);
            let heir = &*fewer.owner(shard).unwrap().node;
            if owner == "b" {
                assert_eq!(all.rank(shard, heir), 1, "the next in rank inherits");
            } else {
                assert_eq!(heir, owner);
            }
        }
        assert!(owned.values().all(|&count| count > SHARDS / 6), "{owned:?}");
    }

    #[test]
    fn a_draining_node_owns_nothing() {
        let mut roster = roster([heard("a", 0), heard("b", 0)]);
        let beat = Beat::new("http://b", Nonce(1), true);
        roster.hear(Heard { node: "b".to_owned(), beat: Some(beat), at: 1 });
        let view = roster.view();
        assert!((0..SHARDS).all(|shard| view.owner(ShardId::new(shard)).unwrap().node == "a"));
        assert_eq!(nodes(&view), ["a", "b"]);
    }

    #[test]
    fn the_longest_silent_node_is_forgotten_first() {
        let many = (0..=NODES_MAX).zip(0..).map(|(n, at)| heard(&format!("n{n:04}"), at));
        let roster = roster(many);
        assert_eq!(roster.last.len(), NODES_MAX);
        assert!(!roster.last.contains_key("n0000"));
    }
}
