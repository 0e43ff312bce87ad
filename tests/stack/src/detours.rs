//! Where parts reach each other when it is not at their own addresses: through proxies that can
//! cut the way. Only a stack that faults are made in has any.

use serde::{Deserialize, Serialize};

/// A further listener of a broker, which tells clients to come to another port: that of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub bind: u16,
    pub advertised: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detours {
    /// One per command-api node, or none.
    pub nodes: Vec<NodeDetours>,
    /// Where the projector reaches PostgreSQL.
    pub postgres_of_projector: Option<u16>,
    /// Where the query API reaches PostgreSQL.
    pub postgres_of_query: Option<u16>,
}

/// The ways from and to one command-api node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDetours {
    /// Where the other nodes reach it: the way to its port for operations.
    pub peer: u16,
    /// Where it reaches each broker. A broker tells its clients where to go on, so it has a
    /// listener for this node alone, which names the proxy.
    pub brokers: Vec<Listener>,
}

impl Detours {
    /// What this broker listens on beside its own port, by the listener's name.
    pub fn of_broker(&self, number: usize) -> impl Iterator<Item = (String, Listener)> {
        let listener = move |node: &NodeDetours| node.brokers.get(number - 1).copied();
        let named = (1..).zip(&self.nodes);
        named.filter_map(move |(node, detours)| Some((format!("NODE{node}"), listener(detours)?)))
    }

    /// Where this node begins to look for the brokers.
    #[must_use]
    pub fn bootstrap_servers(&self, node: usize) -> Option<String> {
        let brokers = &self.nodes.get(node.checked_sub(1)?)?.brokers;
        let servers = brokers.iter().map(|listener| format!("127.0.0.1:{}", listener.advertised));
        Some(servers.collect::<Vec<_>>().join(","))
    }

    /// Where the others reach this node.
    #[must_use]
    pub fn peer(&self, node: usize) -> Option<u16> {
        Some(self.nodes.get(node.checked_sub(1)?)?.peer)
    }
}
