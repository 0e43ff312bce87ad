//! The engine with its shell, over a log in memory.

mod cluster;
mod forward;
mod groups;
mod metrics;
mod releases;
mod restart;
mod snapshots;
mod troubled;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{shard::ShardId, stock::Stock};
use infra::{
    config,
    log::{EventLog, Offset, contract, memory::MemoryLog},
    shutdown::Shutdown,
    task,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    Answer, Consistency, Engine, Outcome, ReadError, Snapshot, Stores, SubmitError,
    testing::{Running, code, receive, submit},
};
use crate::testing::commits;

const ONLY: ShardId = ShardId::new(0);

/// A store in files, of one shard.
fn on_disk(folder: &TempDir) -> Stores {
    let path = folder.path().to_owned();
    Stores::on_disk(&config::Store { path, cache_bytes: 1 << 20 }, 1)
}

async fn stock(
    engine: &Engine,
    sku: &str,
    consistency: Consistency,
) -> Result<Snapshot<Arc<Stock>>, ReadError> {
    engine.read(&code(sku), consistency).await
}

/// How often each command id was committed, as an independent reader sees it.
async fn committed(log: &dyn EventLog) -> BTreeMap<u128, u32> {
    let mut times = BTreeMap::new();
    for events in commits(log).await {
        let id = events[0].provenance.command_id.uuid().as_u128();
        *times.entry(id).or_insert(0) += 1;
    }
    times
}

#[tokio::test]
async fn an_acknowledged_command_is_read_and_survives_a_restart() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(4));
    let first = Running::on(&log);
    let answer = submit(&first.engine, receive("A", 1)).await.expect("an answer");
    assert!(matches!(answer.outcome, Outcome::Committed { revision: 1, .. }));
    first.stop().await;

    let second = Running::on(&log);
    let again = submit(&second.engine, receive("A", 1)).await.expect("an answer");
    assert_eq!(again, Answer { replayed: true, ..answer });
    let snapshot = stock(&second.engine, "A", Consistency::Linearizable).await.expect("a state");
    assert_eq!((snapshot.state.on_hand(), snapshot.revision), (1, 1));
    second.stop().await;
}

#[tokio::test]
async fn streams_that_are_read_together_are_each_as_if_read_alone() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(4));
    let running = Running::on(&log);
    let skus: Vec<String> = (0..20).map(|n| format!("S{n}")).collect();
    for (sku, times) in skus.iter().zip(1..) {
        for _ in 0..times % 3 {
            submit(&running.engine, receive(sku, Uuid::now_v7().as_u128()))
                .await
                .expect("an answer");
        }
    }
    let streams = skus.iter().map(|sku| receive(sku, 0).stream).collect();
    let together = running.engine.read_many(&streams, Consistency::Linearizable).await;
    let together = together.expect("states");
    for sku in &skus {
        let alone = stock(&running.engine, sku, Consistency::Serializable).await;
        assert_eq!(together.get(&code(sku)), alone);
    }
    running.stop().await;
}

#[tokio::test]
async fn two_engines_on_one_log_never_apply_a_command_twice() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(2));
    let (one, other) = (Running::on(&log), Running::on(&log));
    let clients = (1..=200_u128).map(|key| {
        let engines = [one.engine.clone(), other.engine.clone()];
        task::spawn("client", async move {
            let sku = format!("S{}", key % 7);
            let [one, other] = engines;
            let both =
                tokio::join!(submit(&one, receive(&sku, key)), submit(&other, receive(&sku, key)),);
            (key, both)
        })
    });
    for client in clients.collect::<Vec<_>>() {
        let (key, (one, other)) = client.await.expect("no panic");
        let outcomes: Vec<Outcome> =
            [one, other].into_iter().filter_map(Result::ok).map(|a| a.outcome).collect();
        assert!(!outcomes.is_empty(), "key {key} has an outcome");
        assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{key}: {outcomes:?}");
    }
    one.stop().await;
    other.stop().await;
    let times = committed(&*log).await;
    assert_eq!(times.len(), 200);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test]
async fn a_stopped_engine_says_so() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let running = Running::on(&log);
    submit(&running.engine, receive("A", 1)).await.expect("an answer");
    let engine = running.engine.clone();
    running.stop().await;
    assert_eq!(submit(&engine, receive("A", 2)).await, Err(SubmitError::ShuttingDown));
}

#[tokio::test]
async fn a_listener_is_told_every_commit_in_order() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let running = Running::on(&log);
    running.engine.served_here(ONLY, true).await;
    submit(&running.engine, receive("A", 1)).await.expect("an answer");
    let mut listening = running.engine.listen(ONLY, 100).await.expect("a listener");
    for key in 2..=30 {
        submit(&running.engine, receive("A", key)).await.expect("an answer");
    }
    let expected = contract::commits(&*log, ONLY, Some(listening.from)).await;
    assert_eq!(expected.len(), 29);
    for (commit, checkpoint) in expected {
        let told = listening.emitted.recv().await.expect("a commit");
        assert_eq!((told.commit, told.checkpoint), (commit, checkpoint));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_listener_that_does_not_keep_up_is_told_no_more_and_holds_up_nobody() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let running = Running::on(&log);
    running.engine.served_here(ONLY, true).await;
    let mut listening = running.engine.listen(ONLY, 3).await.expect("a listener");
    for key in 1..=10 {
        submit(&running.engine, receive("A", key)).await.expect("an answer");
    }
    let mut told = Vec::new();
    while let Some(emitted) = listening.emitted.recv().await {
        told.push(emitted.commit);
    }
    let expected = contract::commits(&*log, ONLY, Some(listening.from)).await.into_iter().take(3);
    assert_eq!(told, expected.map(|(commit, _)| commit).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test]
async fn only_who_serves_a_shard_has_listeners() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let running = Running::on(&log);
    running.engine.served_here(ONLY, true).await;
    let engine = running.engine.clone();
    running.stop().await;
    assert!(engine.listen(ONLY, 3).await.is_none());
}
