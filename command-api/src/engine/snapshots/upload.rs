//! Leaves snapshots of a shard's store, for as long as this node serves the shard.
//!
//! The copy is of one moment and is read off the async threads, one snapshot of a node at a time and
//! no faster than [`BYTES_PER_SECOND_MAX`], so that commands do not notice.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{shard::ShardId, timestamp::Timestamp};
use futures_util::FutureExt;
use infra::{
    clock::Clock,
    log::{BoxError, Offset},
    task::{self, Task},
    telemetry::emit,
};
use object_store::{ObjectStoreExt, WriteMultipart};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    super::{
        events::{OfShard, SnapshotEvent},
        store::{StateStore, StoreCopy},
    },
    ASK_WAIT_MAX, Name, SnapshotRepository,
    format::Writer,
};

/// How many snapshots of a shard are kept, whatever they are of: when a release leaves its own,
/// those of the one before go with the second.
const KEPT: usize = 2;

/// What is read of a store waits in pieces like this; it is also the part of an upload, of which S3
/// allows 10,000. That and the parts under way bound the memory of an upload.
const PART_BYTES: usize = 8 << 20;
const PARTS_WAITING_MAX: usize = 1;
const PARTS_SENT_MAX: usize = 2;

/// Copying more at once would take processor time from commands.
const BYTES_PER_SECOND_MAX: u32 = 32 << 20;

/// A snapshot that takes longer is given up.
const UPLOAD_WAIT_MAX: Duration = Duration::from_secs(3600);

/// One shard's.
pub(in super::super) struct Uploader {
    shard: ShardId,
    store: Arc<dyn StateStore>,
    repository: Option<Arc<SnapshotRepository>>,
    clock: Clock,
    /// Up to where the newest snapshot goes that this node knows of.
    newest: Offset,
    next_at: Instant,
    task: Option<Task<Option<Offset>>>,
}

impl Uploader {
    pub(in super::super) fn new(
        shard: ShardId,
        store: Arc<dyn StateStore>,
        repository: Option<Arc<SnapshotRepository>>,
        clock: Clock,
    ) -> Self {
        Self { shard, store, repository, clock, newest: 0, next_at: Instant::now(), task: None }
    }

    /// Begins a snapshot if it is time; called by the owner, with how far the log has come.
    pub(in super::super) fn offer(&mut self, next_offset: Offset) {
        let Some(repository) = &self.repository else { return };
        if let Some(task) = &mut self.task {
            let Some(ended) = task.now_or_never() else { return };
            self.newest = ended.ok().flatten().map_or(self.newest, |newest| newest);
            self.task = None;
        }
        let now = Instant::now();
        if now < self.next_at || !is_due(repository, self.newest, next_offset) {
            return;
        }
        self.next_at = now + repository.interval_min;
        let (repository, store) = (Arc::clone(repository), Arc::clone(&self.store));
        let (shard, clock) = (self.shard, self.clock.clone());
        self.task = Some(task::spawn("snapshot", async move {
            let run = leave(&repository, shard, store, &clock);
            let left = timeout(UPLOAD_WAIT_MAX, run).await;
            match left.map_err(BoxError::from).flatten() {
                Ok(newest) => Some(newest),
                Err(error) => {
                    emit(OfShard(shard, SnapshotEvent::Failed(&*error)));
                    None
                }
            }
        }));
    }
}

fn is_due(repository: &SnapshotRepository, newest: Offset, next_offset: Offset) -> bool {
    u64::try_from(next_offset.saturating_sub(newest))
        .is_ok_and(|grown| grown >= repository.records_min)
}

/// Up to where the newest snapshot goes now, be it of this node or of an earlier owner.
async fn leave(
    repository: &SnapshotRepository,
    shard: ShardId,
    store: Arc<dyn StateStore>,
    clock: &Clock,
) -> Result<Offset, BoxError> {
    let _turn = repository.uploads.acquire().await?;
    let began = Instant::now();
    let copied = task::spawn_blocking("copy store", move || store.copy()).await??;
    let copy = copied.ok_or("there is nothing to copy yet")?;
    let name = Name::of(copy.head()).ok_or("the log has no id yet")?;
    if let Some(found) = newest(repository, shard, name, clock.now()).await? {
        return Ok(found);
    }
    let bytes = upload(repository, &name.path(shard), copy).await?;
    let took = began.elapsed();
    let next_offset = name.next_offset;
    emit(OfShard(shard, SnapshotEvent::Left { next_offset, bytes, took }));
    prune(repository, shard).await?;
    Ok(next_offset)
}

/// The one that makes another one needless for now.
async fn newest(
    repository: &SnapshotRepository,
    shard: ShardId,
    own: Name,
    now: Timestamp,
) -> Result<Option<Offset>, BoxError> {
    let listed = repository.list(shard).await?;
    let newest = listed.iter().find_map(|stored| {
        let name = Name::parse(&stored.path).filter(|name| name.is_like(own))?;
        Some((name.next_offset, stored.stored_at))
    });
    Ok(newest.and_then(|(next_offset, stored_at)| {
        let is_fresh = now.since(stored_at) < repository.interval_min;
        (is_fresh || !is_due(repository, next_offset, own.next_offset)).then_some(next_offset)
    }))
}

/// Streams the copy; the object is there as a whole or not at all.
async fn upload(
    repository: &SnapshotRepository,
    path: &object_store::path::Path,
    copy: Box<dyn StoreCopy>,
) -> Result<u64, BoxError> {
    let (parts, mut written) = mpsc::channel(PARTS_WAITING_MAX);
    let key = repository.key.clone();
    let reading = task::spawn_blocking("read store", move || {
        let mut writer = Writer::begin(Parts { parts, part: Vec::new() }, copy.head(), &key)?;
        copy.rows(&mut |row| writer.row(&row))?;
        writer.finish()
    });
    let sending = async move {
        let started = timeout(ASK_WAIT_MAX, repository.storage.put_multipart(path)).await??;
        let mut upload = WriteMultipart::new_with_chunk_size(started, PART_BYTES);
        let (mut bytes, mut next_at) = (0, Instant::now());
        while let Some(part) = written.recv().await {
            let part: Bytes = part;
            let length = u32::try_from(part.len())?;
            sleep_until(next_at).await;
            next_at = Instant::now() + Duration::from_secs(1) * length / BYTES_PER_SECOND_MAX;
            bytes += u64::from(length);
            upload.wait_for_capacity(PARTS_SENT_MAX).await?;
            upload.put(part);
        }
        Ok::<_, BoxError>((upload, bytes))
    };
    let (read, sent) = tokio::join!(reading, sending);
    let (upload, bytes) = sent?;
    if let Err(error) = read.map_err(BoxError::from).flatten() {
        upload.abort().await?;
        return Err(error);
    }
    upload.finish().await?;
    Ok(bytes)
}

async fn prune(repository: &SnapshotRepository, shard: ShardId) -> Result<(), BoxError> {
    for old in repository.list(shard).await?.into_iter().skip(KEPT) {
        timeout(ASK_WAIT_MAX, repository.storage.delete(&old.path)).await??;
    }
    Ok(())
}

/// Hands what is written to the async side, which holds the writing back.
struct Parts {
    parts: mpsc::Sender<Bytes>,
    part: Vec<u8>,
}

impl io::Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let part = std::mem::take(&mut self.part);
        let gone = |_closed| io::Error::from(io::ErrorKind::BrokenPipe);
        self.parts.blocking_send(part.into()).map_err(gone)
    }
}
