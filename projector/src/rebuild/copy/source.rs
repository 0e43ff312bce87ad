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

/// Records that are read at once: so few that they stay in the processor's cache until they are decoded.
const RECORDS_MAX: usize = 256;
/// Values of a batch, as they stand in the log; decoded they take a few times of that.
const BATCH_BYTES_MAX: usize = 6 << 20;
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
    batches: mpsc::Receiver<Result<Batch, ReadError>>,
    _reading: Task<()>,
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
        let mut follower = Follower::open(&**log, shard, Some(from)).await?;
        follower.want_only(&projection.streams());
        let (sender, batches) = mpsc::channel(WAITING_MAX);
        let reading = Reading { log: Arc::clone(log), shard, follower, projection, events_max };
        let reading = task::spawn("projector copy source", reading.run(sender));
        Ok(Self { batches, _reading: reading })
    }

    /// The next batch; at the end of the log, an empty one.
    pub(super) async fn next(&mut self) -> Result<Batch, ReadError> {
        let ended = || Err(ReadError::Failed("what reads it has ended".into()));
        self.batches.recv().await.unwrap_or_else(ended)
    }
}

impl Reading {
    /// Reads until the log cannot be read, or nobody wants more.
    async fn run(mut self, batches: mpsc::Sender<Result<Batch, ReadError>>) {
        loop {
            let batch = self.gather().await;
            let is_over = batch.is_err();
            if batches.send(batch).await.is_err() || is_over {
                return;
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
                let commit = Commit::decode(log_id, commit, wants);
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
    /// Events per second, of so many shards.
    rate: Option<(u32, u32)>,
    /// When what has passed may have passed.
    free_at: Instant,
}

impl Throttle {
    pub(super) fn new(rate_max: Option<i32>, shards: u32) -> Self {
        let rate = rate_max.map(|rate| (rate.max(1).unsigned_abs(), shards.max(1)));
        Self { rate, free_at: Instant::now() }
    }

    /// Events of one batch: about a second's, so that the rate is even.
    pub(super) fn batch_max(&self) -> usize {
        let Some((rate, shards)) = self.rate else { return BATCH_EVENTS_MAX };
        let events = usize::try_from(rate.div_ceil(shards)).unwrap_or(usize::MAX);
        events.min(BATCH_EVENTS_MAX)
    }

    /// So many records have passed: waits until they may have.
    pub(super) async fn pass(&mut self, records: i64) {
        let Some((rate, shards)) = self.rate else { return };
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let earliest = self.free_at.max(Instant::now() - Duration::from_secs(1));
        self.free_at = earliest + Duration::from_secs(records.into()) * shards / rate;
        sleep_until(self.free_at).await;
    }
}

#[cfg(test)]
mod tests {
    use infra::log::{memory::MemoryLog, owner::Owner, sample};
    use read_models::stock::STOCK;

    use super::*;

    const SHARD: ShardId = ShardId::new(0);

    #[tokio::test]
    async fn a_batch_has_the_events_of_its_projection_and_passes_over_the_others() {
        let log = MemoryLog::new(1);
        let mut owner = Owner::claim(&log, SHARD).await.expect("a shard");
        let data = r#"{"quantity":7}"#;
        let count = i64::try_from(RECORDS_MAX).expect("a number") + 2;
        for revision in 1..=count.unsigned_abs() {
            for (stream, kind) in [("stock/A", "stock.received"), ("gift_card/1", "gift_card.made")]
            {
                let stream = stream.parse().expect("a stream id");
                let event = sample::stored(stream, revision, format!("tradewind.{kind}.v1"), data);
                owner.commit(vec![event]).await.expect("a log");
            }
        }
        owner.finish().await.expect("a log");
        let log: Arc<dyn EventLog> = Arc::new(log);
        let mut source =
            Source::open(&log, SHARD, Checkpoint::START, STOCK, usize::MAX).await.expect("a log");
        let batch = source.next().await.expect("a batch");
        let end = 2 * count + 1;
        assert_eq!((batch.next_offset, batch.log_end, batch.to.next_offset), (end, end, end));
        let events: Vec<_> = batch.commits.iter().flat_map(|commit| &commit.events).collect();
        assert!(events.iter().map(|event| event.revision).eq(1..=count));
        assert!(events.iter().all(|event| &*event.value == data.as_bytes()));
        assert!(events.iter().all(|event| event.decoded.is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_takes_its_share_of_the_rate_and_without_one_nobody_waits() {
        let began = Instant::now();
        Throttle::new(None, 4).pass(1_000_000).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut throttle = Throttle::new(Some(400), 4);
        assert_eq!(throttle.batch_max(), 100);
        for _ in 0..10 {
            throttle.pass(100).await;
        }
        assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
        assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    }
}
