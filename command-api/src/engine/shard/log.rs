//! The shard's two ends of the log: its writer, and the reading of what others wrote.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    log::{EventLog, LogRecord, LogWriter, Offset, Prefetch, ReadError, Report, Ticket},
    task::{self, Task},
};
use tokio::{sync::mpsc, time::Instant};

/// Records read in one go while replaying.
const FETCH_RECORDS_MAX: usize = 2_000;

/// Chunks of fetched records that wait for the machine; the reading waits beyond it.
const FETCH_CHUNKS_MAX: usize = 4;

pub(super) struct Writer {
    pub(super) append: Box<dyn LogWriter>,
    pub(super) reports: mpsc::Receiver<Report>,
    /// The last record of each group that is under way, and since when.
    pub(super) groups: VecDeque<(Ticket, Instant)>,
}

/// Dropping it ends the reading.
pub(super) struct Reading {
    pub(super) chunks: mpsc::Receiver<Result<Vec<LogRecord>, ReadError>>,
    _task: Task<()>,
}

impl Reading {
    /// Up to but without `to`, or for ever.
    pub(super) fn new(
        log: &Arc<dyn EventLog>,
        shard: ShardId,
        from: Offset,
        to: Option<Offset>,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(FETCH_CHUNKS_MAX);
        let (log, range) = (Arc::clone(log), from..to.unwrap_or(Offset::MAX));
        let task = task::spawn("shard-fetch", async move {
            if let Err(error) = fetch(&*log, shard, range, &sender).await {
                // The shard has dropped the reading: nobody wants to know.
                sender.send(Err(error)).await.ok();
            }
        });
        Self { chunks, _task: task }
    }
}

async fn fetch(
    log: &dyn EventLog,
    shard: ShardId,
    range: Range<Offset>,
    chunks: &mpsc::Sender<Result<Vec<LogRecord>, ReadError>>,
) -> Result<(), ReadError> {
    let mut reader = log.open_reader(shard, range.start, Prefetch::Ahead).await?;
    let mut next = range.start;
    while next < range.end {
        let left = usize::try_from(range.end - next).unwrap_or(usize::MAX);
        let records = reader.read(left.min(FETCH_RECORDS_MAX), Duration::from_secs(1)).await?;
        let Some(last) = records.last() else { continue };
        next = last.offset + 1;
        if chunks.send(Ok(records)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
