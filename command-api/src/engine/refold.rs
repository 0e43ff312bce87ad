//! States that another release's fold has made, or could not make, folded anew from the log.
//!
//! Only those of the aggregates concerned: the others, the outcomes and the place in the log stay as they
//! are. The store says that they are outdated until all is done, so whoever is interrupted begins again.

use std::{collections::BTreeSet, sync::Arc};

use domain::{Event, StreamType, shard::ShardId, timestamp::Timestamp};
use infra::{
    codec,
    log::{Checkpoint, Commit, CommitBody, EventLog, ReadError, follow::Follower},
    task,
    telemetry::emit,
};
use tokio::time::Instant;

use super::{
    events::StatesRefolded,
    store::{Batch, StateStore, StoreError, UnreadEvent},
    streams::Streams,
};

/// Records read in one go.
const RECORDS_MAX: usize = 2_000;

/// What may wait in memory to be written.
const UNSAVED_BYTES_MAX: usize = 32 << 20;

/// Why states could not be folded anew.
pub(super) enum RefoldError {
    Store(StoreError),
    Log(ReadError),
}

impl From<StoreError> for RefoldError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ReadError> for RefoldError {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

/// Makes all states of a store those of this release.
pub(super) async fn refold(
    store: &Arc<dyn StateStore>,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<(), RefoldError> {
    let began = Instant::now();
    let outdated = store.outdated()?;
    let Some(checkpoint) = store.checkpoint()?.filter(|_| !outdated.is_empty()) else {
        return Ok(store.renew()?);
    };
    for aggregate in outdated.clone() {
        blocking(store, move |store| store.forget(&aggregate)).await?;
    }
    let kinds = outdated.iter().filter_map(|name| StreamType::parse(name)).collect();
    let events = fold(store, log, shard, &kinds, &checkpoint).await?;
    store.renew()?;
    let took = began.elapsed();
    emit(StatesRefolded { shard, aggregates: &outdated, events, took });
    Ok(())
}

/// How many events there were.
async fn fold(
    store: &Arc<dyn StateStore>,
    log: &dyn EventLog,
    shard: ShardId,
    kinds: &BTreeSet<StreamType>,
    checkpoint: &Checkpoint,
) -> Result<u64, RefoldError> {
    let mut events = 0;
    if kinds.is_empty() {
        return Ok(events);
    }
    let mut streams = Streams::new(Arc::clone(store), 0);
    let mut follower = Follower::open(log, shard, None).await?;
    while follower.checkpoint().next_offset < checkpoint.next_offset {
        let commits = follower.next(RECORDS_MAX).await?;
        for commit in commits.iter().filter(|it| it.next_offset <= checkpoint.next_offset) {
            events += take(commit, kinds, &mut streams);
        }
        if streams.unsaved_bytes() > UNSAVED_BYTES_MAX {
            save(store, &mut streams, checkpoint).await?;
        }
    }
    save(store, &mut streams, checkpoint).await?;
    Ok(events)
}

fn take(commit: &Commit, kinds: &BTreeSet<StreamType>, streams: &mut Streams) -> u64 {
    let CommitBody::Events(records) = &commit.body else { return 0 };
    let mut taken = 0;
    for record in records {
        if !record.stream.stream_type().is_some_and(|kind| kinds.contains(&kind)) {
            continue;
        }
        let decoded: Result<Event, _> = codec::decode(record);
        let events = decoded.as_ref().map(std::slice::from_ref);
        let events = events.map_err(|_why| UnreadEvent::of(record));
        streams.replay(&record.stream, events, record.value.len());
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
