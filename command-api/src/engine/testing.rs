//! An engine with its shells over a log in memory, and commands for it.

use std::{sync::Arc, time::Duration};

use domain::{
    addressed::Addressed,
    id::{CommandId, Sku},
    stock::{self, Stock},
};
use infra::{
    clock::Clock,
    log::EventLog,
    shutdown::Shutdown,
    task::{self, Task},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Answer, Cluster, Engine, Node, Shard, ShardError, Stores, Submission, SubmitError};

/// Dropping it is a crash.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) shutdown: Shutdown,
    shards: Vec<Task<Result<(), ShardError>>>,
}

impl Running {
    pub(crate) fn on(log: &Arc<dyn EventLog>) -> Self {
        Self::with(log, &Stores::in_memory())
    }

    pub(crate) fn with(log: &Arc<dyn EventLog>, stores: &Stores) -> Self {
        Self::alone(log, &Clock::System, stores)
    }

    /// On the only node.
    pub(crate) fn alone(log: &Arc<dyn EventLog>, clock: &Clock, stores: &Stores) -> Self {
        let node = node("test");
        Self::start(log, &node, clock, Cluster::alone(&node), stores)
    }

    pub(crate) fn start(
        log: &Arc<dyn EventLog>,
        node: &Node,
        clock: &Clock,
        cluster: Cluster,
        stores: &Stores,
    ) -> Self {
        let (engine, shards) = Engine::new(log, node, clock, cluster, stores);
        let shutdown = Shutdown::new();
        let run = |shard: Shard| task::spawn("shard", shard.run(shutdown.clone()));
        let shards = shards.into_iter().map(run).collect();
        Self { engine, shutdown, shards }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.request();
        for shard in self.shards {
            shard.await.expect("no panic").expect("no error");
        }
    }
}

pub(crate) fn node(name: &str) -> Node {
    Node { name: name.to_owned(), url: format!("http://{name}") }
}

pub(crate) fn code(sku: &str) -> Sku {
    sku.parse().expect("a SKU")
}

/// A unit more of a stock.
pub(crate) fn receive(sku: &str, key: u128) -> Submission {
    let receive = stock::Command::receive(1);
    let addressed = Addressed::to::<Stock>(&code(sku), receive);
    Submission::new(addressed, CommandId::new(Uuid::from_u128(key)), "test".into())
}

pub(crate) async fn submit(engine: &Engine, submission: Submission) -> Result<Answer, SubmitError> {
    engine.submit(submission, Instant::now() + Duration::from_secs(20)).await
}
