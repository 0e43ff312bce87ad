//! Puts the newest snapshot that fits in the place of a store that is not there.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use domain::shard::ShardId;
use futures_util::TryStreamExt;
use infra::{
    log::{BoxError, EventLog, ReadError},
    task,
    telemetry::{chain, emit},
};
use object_store::{ObjectStoreExt, path::Path};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    super::{
        events::{OfShard, SnapshotEvent},
        store::{Head, Stores, open},
    },
    ASK_WAIT_MAX, SnapshotRepository,
    format::{self, HEAD_END_MAX, Rows},
};

/// How long the storage may be silent in the middle of a snapshot.
const PIECE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Pieces that wait to be put in place; the fetching waits beyond it.
const PIECES_MAX: usize = 4;

/// Snapshots that are tried; as many as there should be.
const TRIED_MAX: usize = 2;

/// Whatever is wrong with a snapshot is told and is no error, but a log that cannot be read is.
pub(in super::super) async fn fetch(
    stores: &Stores,
    repository: &SnapshotRepository,
    log: &dyn EventLog,
    shard: ShardId,
) -> Result<(), ReadError> {
    if log.range(shard).await?.is_empty() {
        return Ok(());
    }
    let listed = match repository.list(shard).await {
        Ok(listed) => listed,
        Err(error) => {
            emit(OfShard(shard, SnapshotEvent::Unavailable(&*error)));
            return Ok(());
        }
    };
    for stored in listed.into_iter().take(TRIED_MAX) {
        let name = stored.path.filename().unwrap_or_default();
        let began = Instant::now();
        let reason = match fit(stores, repository, log, shard, &stored.path).await? {
            Ok(head) => match restore(stores, repository, shard, &stored.path, &head).await {
                Ok(()) => {
                    let (next_offset, took) = (head.checkpoint.next_offset, began.elapsed());
                    emit(OfShard(shard, SnapshotEvent::Fetched { name, next_offset, took }));
                    return Ok(());
                }
                Err(error) => chain(&*error).to_string(),
            },
            Err(reason) => reason,
        };
        emit(OfShard(shard, SnapshotEvent::Refused { name, reason: &reason }));
    }
    Ok(())
}

/// The head of a snapshot that is of this log, fold and shard, or why it is not: found out before
/// all of it is fetched.
async fn fit(
    stores: &Stores,
    repository: &SnapshotRepository,
    log: &dyn EventLog,
    shard: ShardId,
    path: &Path,
) -> Result<Result<Head, String>, ReadError> {
    let beginning =
        timeout(ASK_WAIT_MAX, repository.storage.get_range(path, 0..HEAD_END_MAX)).await;
    let beginning = beginning.map_err(BoxError::from).and_then(|read| Ok(read?));
    let head = beginning.and_then(|bytes| format::read_head(&mut bytes.reader(), &repository.key));
    let head = match head {
        Ok(head) => head,
        Err(error) => return Ok(Err(chain(&*error).to_string())),
    };
    if let Some(why) = head.header.misfit(&stores.header(shard)) {
        return Ok(Err(why));
    }
    Ok(open::check(&head.checkpoint, log, shard).await?.map(|()| head))
}

async fn restore(
    stores: &Stores,
    repository: &SnapshotRepository,
    shard: ShardId,
    path: &Path,
    expected: &Head,
) -> Result<(), BoxError> {
    let _turn = repository.fetches.acquire().await?;
    let fetched = timeout(ASK_WAIT_MAX, repository.storage.get(path)).await??;
    let mut from = fetched.into_stream();
    let (pieces, waiting) = mpsc::channel(PIECES_MAX);
    let (source, key, expected) =
        (Arc::clone(&stores.source), repository.key.clone(), expected.clone());
    let placing = task::spawn_blocking("restore store", move || {
        let (head, mut rows) = Rows::open(Pieces { waiting, piece: Bytes::new() }, &key)?;
        if head != expected {
            return Err("it was replaced while it was read".into());
        }
        source.restore(shard, &head, &mut rows)
    });
    let fetching = async move {
        while let Some(piece) = timeout(PIECE_WAIT_MAX, from.try_next()).await?? {
            // Once nobody takes any more, the reason is known over there.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        Ok::<_, BoxError>(())
    };
    let (fetched, placed) = tokio::join!(fetching, placing);
    fetched?;
    placed?
}

/// What has been fetched, for one who reads and blocks.
struct Pieces {
    waiting: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl io::Read for Pieces {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(piece) = self.waiting.blocking_recv() else { return Ok(0) };
            self.piece = piece;
        }
        let length = bytes.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut bytes[..length]);
        Ok(length)
    }
}
