//! States that another release's fold has made, or could not make, folded anew from the log.
//!
//! Only those of the aggregates concerned: the others, the outcomes and the place in the log stay as they
//! are. Before anything is removed the store says that nobody may trust them, and it says so until all is
//! done: whoever is interrupted begins again, of whatever release.

use std::{collections::BTreeSet, sync::Arc};

use domain::{StreamType, shard::ShardId, timestamp::Timestamp};
use infra::{
    log::{Checkpoint, Commit, CommitBody, EventLog, ReadError, follow::Follower},
    task,
    telemetry::emit,
};
use tokio::time::Instant;

use super::{
    events::{OfShard, StoreEvent},
    store::{Batch, StateStore, StoreError},
    streams::Streams,
};

/// Records read in one go.
const RECORDS_MAX: usize = 2_000;

/// What may wait in memory to be written.
const UNSAVED_BYTES_MAX: usize = 32 << 20;

/// Why states could not be folded anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefoldError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] ReadError),
}

/// Makes all states of a store those of this release.
pub(super) async fn refold(
    store: &Arc<dyn StateStore>,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<(), RefoldError> {
    let began = Instant::now();
    let found = blocking(store, |store| Ok((store.outdated()?, store.checkpoint()?))).await?;
    let (outdated, Some(checkpoint)) = found else {
        return Ok(blocking(store, |store| store.renew()).await?);
    };
    if outdated.is_empty() {
        return Ok(blocking(store, |store| store.renew()).await?);
    }
    // Nothing is removed before the log is known to have its beginning.
    let mut history = History::open(log, shard, checkpoint).await?;
    let mut commits = history.next().await?;
    let removed = outdated.clone();
    let remove = blocking(store, move |store| {
        store.distrust(&removed)?;
        removed.iter().try_for_each(|aggregate| store.forget(aggregate))
    });
    remove.await?;
    let kinds = outdated.iter().filter_map(|name| StreamType::parse(name)).collect();
    let (mut streams, mut events) = (Streams::new(Arc::clone(store), 0), 0);
    while !commits.is_empty() {
        events += commits.iter().map(|commit| take(commit, &kinds, &mut streams)).sum::<u64>();
        if streams.unsaved_bytes() > UNSAVED_BYTES_MAX {
            save(store, &mut streams, &checkpoint).await?;
        }
        // Others on this thread may wait for a turn: the log may come as fast as it is folded.
        tokio::task::yield_now().await;
        commits = history.next().await?;
    }
    save(store, &mut streams, &checkpoint).await?;
    blocking(store, |store| store.renew()).await?;
    let took = began.elapsed();
    emit(OfShard(shard, StoreEvent::Refolded { aggregates: &outdated, events, took }));
    Ok(())
}

/// The log of a shard from its beginning to a checkpoint.
struct History {
    follower: Follower,
    checkpoint: Checkpoint,
}

impl History {
    async fn open(
        log: &dyn EventLog,
        shard: ShardId,
        checkpoint: Checkpoint,
    ) -> Result<Self, ReadError> {
        let follower = Follower::open(log, shard, None).await?;
        Ok(Self { follower, checkpoint })
    }

    /// The next commits; none at the checkpoint.
    async fn next(&mut self) -> Result<Vec<Commit>, ReadError> {
        let end = self.checkpoint.next_offset;
        while self.follower.checkpoint().next_offset < end {
            match self.follower.next(RECORDS_MAX).await {
                Ok(commits) if commits.is_empty() => {}
                Ok(mut commits) => {
                    commits.retain(|commit| commit.next_offset <= end);
                    return Ok(commits);
                }
                // A reader waits for brokers by itself; what it tells of as away it will not find.
                Err(error) => return Err(error),
            }
        }
        Ok(Vec::new())
    }
}

fn take(commit: &Commit, kinds: &BTreeSet<StreamType>, streams: &mut Streams) -> u64 {
    let CommitBody::Events(records) = &commit.body else { return 0 };
    let mut taken = 0;
    for record in records {
        if !record.stream.stream_type().is_some_and(|kind| kinds.contains(&kind)) {
            continue;
        }
        // What cannot be read now, either, stands so in the store again.
        streams.replay_record(record).ok();
        taken += 1;
    }
    taken
}

async fn save(
    store: &Arc<dyn StateStore>,
    streams: &mut Streams,
    checkpoint: &Checkpoint,
) -> Result<(), RefoldError> {
    if let Some(error) = streams.take_failure() {
        return Err(error.into());
    }
    let batch = Batch {
        checkpoint: *checkpoint,
        states: streams.take_changed(),
        outcomes: Vec::new(),
        forget_before: Timestamp::default(),
    };
    let written = blocking(store, move |store| store.write(&batch)).await?;
    streams.saved(&written.state_bytes);
    Ok(())
}

async fn blocking<T: Send + 'static>(
    store: &Arc<dyn StateStore>,
    job: impl FnOnce(&dyn StateStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = Arc::clone(store);
    let done = task::spawn_blocking("refold", move || job(&*store)).await;
    done.unwrap_or_else(|failed| Err(StoreError::Io(failed.into())))
}
