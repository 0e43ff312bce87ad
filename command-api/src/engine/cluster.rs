//! This node, and those that it shares the shards with.

use std::sync::Arc;

use infra::membership::View;
use tokio::sync::watch;

use super::forward::{NoPeers, Peers};

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
