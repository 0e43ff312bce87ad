//! The events of one projection in one shard, read and decoded ahead of whoever writes them; and what keeps
//! that below a rate.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    log::{Checkpoint, EventLog, EventRecord, Offset, ReadError, follow::Follower},
    task::{self, Task},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use read_models::Projection;

use crate::event::Commit;

/// Records that are read at once.
const RECORDS_MAX: usize = 5_000;
/// Values of a batch, as they stand in the log; decoded they take a few times of that.
const BATCH_BYTES_MAX: usize = 12 << 20;
/// Records that a batch passes at most, whether or not they are of the projection: a checkpoint
/// now and then, and progress to be seen.
const BATCH_RECORDS_MAX: i64 = 500_000;
/// Batches that wait to be written: one, while another is written and a third is read.
const WAITING_MAX: usize = 1;

/// What one transaction takes.
pub(super) struct Batch {
    /// Those with events that are wanted, and the last one.
    pub commits: Vec<Commit>,
    /// Where a reader stands that has taken it.
    pub to: Checkpoint,
    /// Beyond `to` where records are no commits, or a commit is not complete.
    pub next_offset: Offset,
    pub log_end: Offset,
}

/// Its end ends the reading.
pub(super) struct Source {
    batches: mpsc::Receiver<Batch>,
    reading: Task<ReadError>,
}

struct Reading {
    log: Arc<dyn EventLog>,
    shard: ShardId,
    follower: Follower,
    projection: Projection,
    events_max: usize,
}

impl Source {
    pub(super) async fn open(
        log: &Arc<dyn EventLog>,
        shard: ShardId,
        from: Checkpoint,
        projection: Projection,
        events_max: usize,
    ) -> Result<Self, ReadError> {
        let follower = Follower::open(&**log, shard, Some(from)).await?;
        let (sender, batches) = mpsc::channel(WAITING_MAX);
        let reading = Reading { log: Arc::clone(log), shard, follower, projection, events_max };
        let reading = task::spawn("projector copy source", reading.run(sender));
        Ok(Self { batches, reading })
    }

    /// The next batch; at the end of the log, an empty one.
    pub(super) async fn next(&mut self) -> Result<Batch, ReadError> {
        match self.batches.recv().await {
            Some(batch) => Ok(batch),
            None => Err(match (&mut self.reading).await {
                Ok(error) => error,
                Err(failed) => ReadError::Failed(failed.into()),
            }),
        }
    }
}

impl Reading {
    /// Reads until the log cannot be read, or nobody wants more.
    async fn run(mut self, batches: mpsc::Sender<Batch>) -> ReadError {
        loop {
            let batch = match self.gather().await {
                Ok(batch) => batch,
                Err(error) => return error,
            };
            if batches.send(batch).await.is_err() {
                return ReadError::Failed("nobody takes what is read".into());
            }
        }
    }

    async fn gather(&mut self) -> Result<Batch, ReadError> {
        let began = self.follower.next_offset();
        let log_end = self.log.range(self.shard).await?.end;
        let wants = |record: &EventRecord| self.projection.wants(&record.stream);
        let (mut taken, mut events, mut bytes) = (Vec::new(), 0, 0);
        loop {
            let commits = self.follower.next(RECORDS_MAX).await?;
            let log_id = self.follower.checkpoint().log_id;
            for (index, commit) in (1..).zip(&commits) {
                let is_last = index == commits.len();
                let commit = Commit::decode_some(log_id, commit, wants);
                events += commit.events.len();
                bytes += commit.events.iter().map(|event| event.value.len()).sum::<usize>();
                if is_last || !commit.events.is_empty() {
                    taken.push(commit);
                }
            }
            let next_offset = self.follower.next_offset();
            let passed = next_offset - began;
            // At the end of the log, asking for more would wait for it.
            if next_offset >= log_end {
                break;
            }
            let is_full = events >= self.events_max
                || bytes >= BATCH_BYTES_MAX
                || passed >= BATCH_RECORDS_MAX;
            if is_full || commits.is_empty() {
                break;
            }
            // Decoding takes no pause of its own, and others share the thread.
            tokio::task::yield_now().await;
        }
        Ok(Batch {
            commits: taken,
            to: self.follower.checkpoint(),
            next_offset: self.follower.next_offset(),
            log_end,
        })
    }
}

/// Events of a batch that nobody holds back.
const BATCH_EVENTS_MAX: usize = 20_000;

/// The share of one shard in the rate of a version.
pub(super) struct Throttle {
    per_second: Option<f64>,
    /// When what has passed may have passed.
    free_at: Instant,
}

impl Throttle {
    pub(super) fn new(rate_max: Option<i32>, shards: u32) -> Self {
        let per_second = rate_max.map(|rate| f64::from(rate) / f64::from(shards.max(1)));
        Self { per_second, free_at: Instant::now() }
    }

    /// Events of one batch: about a second's, so that the rate is even.
    pub(super) fn batch_max(&self) -> usize {
        let Some(per_second) = self.per_second else { return BATCH_EVENTS_MAX };
        // At most a few thousand millions a second, which any usize holds.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of events"
        )]
        let events = per_second.ceil() as usize;
        events.clamp(1, BATCH_EVENTS_MAX)
    }

    /// So many records have passed: waits until they may have.
    pub(super) async fn pass(&mut self, records: i64) {
        let Some(per_second) = self.per_second else { return };
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let earliest = self.free_at.max(Instant::now() - Duration::from_secs(1));
        self.free_at = earliest + Duration::from_secs_f64(f64::from(records) / per_second);
        sleep_until(self.free_at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shard_takes_its_share_of_the_rate() {
        let began = Instant::now();
        let mut throttle = Throttle::new(Some(400), 4);
        assert_eq!(throttle.batch_max(), 100);
        for _ in 0..10 {
            throttle.pass(100).await;
        }
        assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
        assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let began = Instant::now();
        Throttle::new(None, 4).pass(1_000_000).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
