//! Whole shops over a log in memory, copied to logs with other numbers of shards.

mod answers;
mod refused;
mod resumed;

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    id::StreamId,
    shard::{ShardId, shard_of},
};
use infra::{
    clock::Clock,
    log::{
        Checkpoint, Commit, CommitBody, EventLog, EventRecord, Nonce, Place, contract,
        follow::log_id, memory::MemoryLog, progress::Progress,
    },
};

use super::{Copied, Reshard, commit::placed, error::ReshardError};
use crate::testing::World;

pub(super) const NOWHERE: Place = Place { epoch: -1, claim: Nonce(0), seq: 0, index: 0, count: 1 };

/// A log that has seen some business, and is at rest.
pub(super) async fn shop() -> Arc<dyn EventLog> {
    let world = World::start();
    for sku in ["tea", "milk", "rusk"] {
        world.product(sku, 3).await;
    }
    for (sku, quantity, method_token) in [
        ("tea", 2, "tok_ok"),
        ("milk", 1, "tok_declined"),
        ("tea", 2, "tok_ok"),
        ("rusk", 3, "tok_ok"),
    ] {
        let order_id = world.buy(sku, quantity, method_token).await;
        world.settled(order_id).await;
    }
    Arc::clone(&world.log)
}

/// The copy of a log from which the processes have come nowhere yet.
pub(super) async fn copied(source: &Arc<dyn EventLog>, shards: u32) -> Arc<dyn EventLog> {
    let target: Arc<dyn EventLog> = Arc::new(MemoryLog::new(shards));
    to(source, &target).run(|_, _| {}).await.expect("a copy");
    target
}

pub(super) fn to(source: &Arc<dyn EventLog>, target: &Arc<dyn EventLog>) -> Reshard {
    Reshard {
        source: Arc::clone(source),
        source_progress: Progress::in_memory(),
        target: Arc::clone(target),
        target_progress: Progress::in_memory(),
        clock: Clock::System,
    }
}

pub(super) fn shards(log: &dyn EventLog) -> impl Iterator<Item = ShardId> {
    (0..log.shard_count()).map(ShardId::new)
}

/// All commits of a shard, wherever they stand.
pub(super) async fn bodies(log: &dyn EventLog, shard: ShardId) -> Vec<CommitBody> {
    let commits = contract::commits(log, shard, None).await;
    commits.into_iter().map(|(commit, _)| placed(commit.body, NOWHERE)).collect()
}

/// The commits of each stream, and the shard in which it was found.
async fn streams(log: &dyn EventLog) -> BTreeMap<StreamId, (ShardId, Vec<Vec<EventRecord>>)> {
    let mut found = BTreeMap::new();
    for shard in shards(log) {
        for body in bodies(log, shard).await {
            let CommitBody::Events(events) = body else { continue };
            let stream = events[0].stream.clone();
            let (at, commits) = found.entry(stream).or_insert((shard, vec![]));
            assert_eq!(*at, shard, "a stream in two shards");
            commits.push(events);
        }
    }
    found
}

#[tokio::test]
async fn every_stream_is_the_same_whatever_the_number_of_shards() {
    let source = shop().await;
    let expected = streams(&*source).await;
    assert!(expected.len() > 10, "{expected:?}");
    for count in [1, 3, 4, 8] {
        let target = copied(&source, count).await;
        let found = streams(&*target).await;
        assert_eq!(found.len(), expected.len());
        for (stream, (shard, commits)) in &found {
            assert_eq!(*shard, shard_of(stream, count), "{stream}");
            assert_eq!(commits, &expected[stream].1, "{stream}");
        }
    }
}

#[tokio::test]
async fn each_new_shard_has_one_claim_and_commits_without_a_gap_behind_it() {
    let target = copied(&shop().await, 8).await;
    for shard in shards(&*target) {
        let commits = contract::commits(&*target, shard, None).await;
        let seqs: Vec<_> = commits.iter().map(|(commit, _)| commit.seq).collect();
        assert!(!seqs.is_empty() && seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
        assert!(commits.iter().all(|(commit, _)| commit.epoch == 0));
        // Nothing else stands there.
        let last: &Commit = &commits[commits.len() - 1].0;
        assert_eq!(target.range(shard).await.expect("a range"), 0..last.next_offset);
        let events = |commit: &Commit| match &commit.body {
            CommitBody::Events(events) => i64::try_from(events.len()).expect("a few"),
            CommitBody::Barrier(_) => 1,
        };
        let records: i64 = commits.iter().map(|(commit, _)| events(commit)).sum();
        assert_eq!(last.next_offset, 1 + records);
    }
}

#[tokio::test]
async fn processes_begin_where_they_were() {
    let source = shop().await;
    let reshard = to(&source, &(Arc::new(MemoryLog::new(2)) as Arc<dyn EventLog>));
    let late = ShardId::new(2);
    let mut undone = Vec::new();
    for shard in shards(&*source) {
        let commits = contract::commits(&*source, shard, None).await;
        let settled = if shard == late { commits.len() / 2 } else { commits.len() };
        undone.extend(
            commits[settled..].iter().map(|(commit, _)| placed(commit.body.clone(), NOWHERE)),
        );
        let (_, checkpoint) = commits[settled - 1];
        reshard.source_progress.store(shard, checkpoint).await.expect("stored");
    }
    assert!(!undone.is_empty());
    reshard.run(|_, _| {}).await.expect("a copy");
    let target = &*reshard.target;
    for shard in shards(target) {
        let commits = contract::commits(target, shard, None).await;
        let stored = reshard.target_progress.load(shard).await.expect("memory");
        let checkpoint = stored.unwrap_or(Checkpoint::START);
        let first = commits
            .iter()
            .position(|(commit, _)| undone.contains(&placed(commit.body.clone(), NOWHERE)));
        let first = first.unwrap_or(commits.len());
        assert_eq!(Some(checkpoint), commits[..first].last().map(|(_, behind)| *behind));
        assert_eq!(checkpoint.log_id, log_id(target, shard).await.expect("a claim"));
    }
}

/// What a run said.
pub(super) async fn refusal(reshard: &Reshard) -> ReshardError {
    reshard.run(|_, _| {}).await.expect_err("a refusal")
}

pub(super) fn of(copied: Result<Copied, ReshardError>) -> Copied {
    copied.expect("a copy")
}
