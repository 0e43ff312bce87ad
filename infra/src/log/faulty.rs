//! A log that fails on purpose: each append is done or not, and reported or not.
//!
//! It is seeded: the same seed gives the same fates to the same appends.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use domain::{shard::ShardId, timestamp::Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::mpsc;

use super::{
    AppendError, DeliveryError, EventLog, LogReader, LogWriter, Offset, OpenError, Opened,
    Prefetch, ReadError, Report, Ticket, record::OutgoingRecord,
};
use crate::task::{self, Task};

/// Appends whose reports are awaited; beyond it the queue counts as full.
const APPENDS_MAX: usize = 16_384;

/// How often what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    pub seed: u64,
    /// Of a thousand appends, so many meet a fault, each kind as often as the others.
    pub permille: u32,
}

impl Faults {
    pub const NONE: Self = Self { seed: 0, permille: 0 };
}

/// What happens to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Done, and reported with its offset.
    Done,
    DoneWithoutOffset,
    DoneReportedFailed,
    DoneUnreported,
    LostReportedFailed,
    LostUnreported,
    /// Not even enqueued, as with a full queue.
    Refused,
}

const FAULTS: [Fate; 6] = [
    Fate::DoneWithoutOffset,
    Fate::DoneReportedFailed,
    Fate::DoneUnreported,
    Fate::LostReportedFailed,
    Fate::LostUnreported,
    Fate::Refused,
];

/// Wraps a log. Reading is passed through.
pub struct FaultyLog {
    inner: Arc<dyn EventLog>,
    faults: Faults,
    writers: AtomicU64,
}

impl FaultyLog {
    #[must_use]
    pub fn new(inner: Arc<dyn EventLog>, faults: Faults) -> Self {
        Self { inner, faults, writers: AtomicU64::new(0) }
    }
}

#[async_trait]
impl EventLog for FaultyLog {
    fn shard_count(&self) -> u32 {
        self.inner.shard_count()
    }

    async fn open_writer(&self, shard: ShardId) -> Result<Opened, OpenError> {
        let (inner, done) = self.inner.open_writer(shard).await?;
        let number = self.writers.fetch_add(1, Ordering::Relaxed);
        let (appended, fates) = mpsc::channel(APPENDS_MAX);
        let (reports, received) = mpsc::channel(APPENDS_MAX);
        let writer = FaultyWriter {
            inner,
            random: StdRng::seed_from_u64(self.faults.seed.wrapping_add(number)),
            permille: self.faults.permille,
            appended,
            _reporting: task::spawn("faulty-log", report(fates, done, reports)),
        };
        Ok((Box::new(writer), received))
    }

    async fn open_reader(
        &self,
        shard: ShardId,
        from: Offset,
        prefetch: Prefetch,
    ) -> Result<Box<dyn LogReader>, ReadError> {
        self.inner.open_reader(shard, from, prefetch).await
    }

    async fn range(&self, shard: ShardId) -> Result<Range<Offset>, ReadError> {
        self.inner.range(shard).await
    }

    async fn offset_at(&self, shard: ShardId, at: Timestamp) -> Result<Offset, ReadError> {
        self.inner.offset_at(shard, at).await
    }
}

struct FaultyWriter {
    inner: Box<dyn LogWriter>,
    random: StdRng,
    permille: u32,
    /// In the order of appending, so that made-up reports keep their place.
    appended: mpsc::Sender<(Ticket, Fate)>,
    _reporting: Task<()>,
}

impl FaultyWriter {
    fn draw(&mut self) -> Fate {
        if self.random.random_range(0..1_000) < self.permille {
            FAULTS[self.random.random_range(0..FAULTS.len())]
        } else {
            Fate::Done
        }
    }
}

impl LogWriter for FaultyWriter {
    fn append(&mut self, record: &OutgoingRecord, ticket: Ticket) -> Result<(), AppendError> {
        let fate = self.draw();
        let Ok(room) = self.appended.clone().try_reserve_owned() else {
            return Err(AppendError::QueueFull);
        };
        match fate {
            Fate::Refused => return Err(AppendError::QueueFull),
            Fate::LostReportedFailed | Fate::LostUnreported => {}
            Fate::Done
            | Fate::DoneWithoutOffset
            | Fate::DoneReportedFailed
            | Fate::DoneUnreported => self.inner.append(record, ticket)?,
        }
        room.send((ticket, fate));
        Ok(())
    }
}

/// Passes reports on as the fates have it.
async fn report(
    mut fates: mpsc::Receiver<(Ticket, Fate)>,
    mut done: mpsc::Receiver<Report>,
    reports: mpsc::Sender<Report>,
) {
    let failed = |ticket| {
        Some(Report { ticket, result: Err(DeliveryError { reason: "on purpose".to_owned() }) })
    };
    while let Some((ticket, fate)) = fates.recv().await {
        let report = match fate {
            Fate::Done => done.recv().await,
            Fate::DoneWithoutOffset => done
                .recv()
                .await
                .map(|report| Report { result: report.result.map(|_| None), ..report }),
            Fate::DoneReportedFailed => done.recv().await.and_then(|_| failed(ticket)),
            Fate::DoneUnreported => done.recv().await.and(None),
            Fate::LostReportedFailed => failed(ticket),
            Fate::LostUnreported | Fate::Refused => None,
        };
        if let Some(report) = report
            && reports.send(report).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
