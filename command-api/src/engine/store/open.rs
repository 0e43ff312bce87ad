//! Opening a shard's store: what does not belong to the log that is there is thrown away, and states that
//! another release has made are folded anew.
//!
//! The record before a checkpoint ended the last commit that the store holds. If that very record
//! stands in the log, with the claim, the epoch and the number that the checkpoint tells, then so
//! does everything before it, and the store is the fold of it.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    log::{Body, BoxError, Checkpoint, EventLog, LogRecord, Offset, Place, Prefetch, ReadError},
    retry::Policy,
    task,
    telemetry::emit,
};

use super::{
    super::{
        events::{OfShard, StoreEvent},
        refold::{RefoldError, refold},
    },
    OpenError, StateStore, StoreError, Stores,
};

/// How long the log may take to show a record.
const RECORD_WAIT_MAX: Duration = Duration::from_secs(10);

/// Opens the store of a shard, whose states are of this release then, however long that takes.
///
/// # Errors
/// The log cannot be read, and asking again would not help.
pub(in super::super) async fn open(
    stores: &Stores,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<Arc<dyn StateStore>, ReadError> {
    let mut waits = Policy::PATIENT.waits();
    loop {
        let error: BoxError = match try_open(stores, log, shard).await {
            Ok(store) => return Ok(store),
            Err(TryError::Store(error)) => error.into(),
            Err(TryError::Log(error @ ReadError::Unavailable(_))) => error.into(),
            Err(TryError::Log(error)) => return Err(error),
        };
        emit(OfShard(shard, StoreEvent::Unavailable(&*error)));
        waits.wait().await;
    }
}

/// Throws away what a shard has stored, which is proven to be of no use; the next [`open`] begins with
/// nothing.
pub(in super::super) async fn discard(stores: &Stores, shard: ShardId, reason: &str) {
    emit(OfShard(shard, StoreEvent::Discarded(reason)));
    let source = Arc::clone(&stores.source);
    let discarded = task::spawn_blocking("discard store", move || source.discard(shard)).await;
    if let Ok(Err(error)) = discarded {
        emit(OfShard(shard, StoreEvent::Unavailable(&error)));
    }
}

#[derive(Debug, thiserror::Error)]
enum TryError {
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Log(#[from] ReadError),
}

impl From<RefoldError> for TryError {
    fn from(error: RefoldError) -> Self {
        match error {
            RefoldError::Store(error) => Self::Store(error.into()),
            RefoldError::Log(error) => Self::Log(error),
        }
    }
}

async fn try_open(
    stores: &Stores,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<Arc<dyn StateStore>, TryError> {
    match open_fit(stores, log, shard).await {
        Err(TryError::Store(OpenError::Useless(reason))) => {
            discard(stores, shard, &reason).await;
            open_fit(stores, log, shard).await
        }
        opened => opened,
    }
}

/// What is there, if it is of use.
async fn open_fit(
    stores: &Stores,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<Arc<dyn StateStore>, TryError> {
    let store = open_source(stores, shard).await?;
    match make_fit(&store, log, shard).await {
        Ok(next_offset) => {
            emit(OfShard(shard, StoreEvent::Opened(next_offset)));
            Ok(store)
        }
        Err(error) => {
            // Closing blocks.
            task::spawn_blocking("close store", move || drop(store)).await.ok();
            Err(error)
        }
    }
}

/// Where a store goes on that is of this log; its states are of this release then.
async fn make_fit(
    store: &Arc<dyn StateStore>,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<Option<Offset>, TryError> {
    let found = store.checkpoint().map_err(OpenError::from)?;
    if let Some(found) = &found {
        check(found, log, shard).await?.map_err(OpenError::Useless)?;
    }
    refold(store, log, shard).await?;
    Ok(found.map(|found| found.next_offset))
}

async fn open_source(stores: &Stores, shard: ShardId) -> Result<Arc<dyn StateStore>, OpenError> {
    let source = Arc::clone(&stores.source);
    match task::spawn_blocking("open store", move || source.open(shard)).await {
        Ok(opened) => opened,
        Err(failed) => Err(StoreError::of_opening(failed).into()),
    }
}

/// Why what bears the checkpoint is not of this log, if it is not.
pub(in super::super) async fn check(
    checkpoint: &Checkpoint,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<Result<(), String>, ReadError> {
    let next = checkpoint.next_offset;
    let range = log.range(shard).await?;
    if next > range.end {
        let end = range.end;
        return Ok(Err(format!("it goes up to offset {next}, but the log ends at {end}")));
    }
    let mut reader = log.open_reader(shard, next - 1, Prefetch::Level).await?;
    let records = reader.read(1, RECORD_WAIT_MAX).await?;
    let Some(last) = records.into_iter().next() else {
        return Err(ReadError::Unavailable("the record did not come in time".into()));
    };
    Ok(if ends_commit(&last, checkpoint) { Ok(()) } else { Err("it is of another log".to_owned()) })
}

fn ends_commit(record: &LogRecord, checkpoint: &Checkpoint) -> bool {
    let place = match &record.body {
        Body::Event(event) => event.place,
        Body::Barrier(barrier) => barrier.place,
        Body::Claim(_) | Body::Foreign(_) => return false,
    };
    let Place { epoch, claim, seq, index, count } = place;
    let same_commit =
        (epoch, Some(claim), seq) == (checkpoint.epoch, checkpoint.claim, checkpoint.last_seq);
    same_commit && index + 1 == count
}
