//! What a listener is told is what the log holds.

use infra::log::contract;

use super::*;

const ONLY: ShardId = ShardId::new(0);

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
