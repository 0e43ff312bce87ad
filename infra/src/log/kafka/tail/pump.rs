//! One consumer that feeds all readers of a process that are level with their shards.
//!
//! Nothing is fetched while something fetched waits, for librdkafka counts all that is in the consumer's
//! one queue; and after a few records the pump rests, so that what comes meanwhile, in all shards, costs
//! one request and not one for each group of records. A lone record finds it waiting.
//!
//! **Invariant:** a reader gets all records of its shard from where it joined until it is let go, in order.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use rdkafka::{
    ClientConfig, Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::KafkaResult,
    message::BorrowedMessage,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout_at},
};

use super::super::{
    client::{AWAY_MAX, Quiet, ask},
    reader::{self, Cursor},
};
use crate::{
    log::{Offset, Prefetch, record::LogRecord},
    task,
};

/// After a short look at the log the next one waits this long.
const REST: Duration = Duration::from_millis(2);
/// Who finds so many records at once is behind, and does not rest.
const LONG_LOOK: usize = 100;
/// Records that are taken at once; more would keep others of the runtime waiting.
const LOOK_MAX: usize = 500;
/// Bytes of records that wait for one reader, and looks at the log that brought them. One that lets more
/// gather goes by itself.
const ROOM: usize = 4 << 20;
const BATCHES_MAX: usize = 1_000;
/// Readers that come or go at once. More of those that come go by themselves.
const ASKS_MAX: usize = 1_000;

pub(super) enum Ask {
    Join {
        partition: i32,
        from: Offset,
        reply: oneshot::Sender<Option<Member>>,
        /// Where it can be asked to let the member go.
        asks: mpsc::WeakSender<Ask>,
    },
    Leave {
        partition: i32,
        number: u64,
    },
}

/// The end that a reader has. Dropping it leaves.
pub(super) struct Member {
    batches: mpsc::Receiver<Batch>,
    waiting: Arc<AtomicUsize>,
    records: Vec<LogRecord>,
    partition: i32,
    number: u64,
    asks: mpsc::WeakSender<Ask>,
}

#[derive(Default)]
struct Batch {
    records: Vec<LogRecord>,
    bytes: usize,
}

impl Member {
    /// Up to `max` records as soon as there is one, or none at the deadline; nothing if it was let go.
    pub(super) async fn read(&mut self, max: usize, deadline: Instant) -> Option<Vec<LogRecord>> {
        if self.records.is_empty() {
            match timeout_at(deadline, self.batches.recv()).await {
                Err(_) => return Some(Vec::new()),
                Ok(batch) => self.take(batch?),
            }
        }
        while self.records.len() < max
            && let Ok(batch) = self.batches.try_recv()
        {
            self.take(batch);
        }
        let rest = self.records.split_off(max.min(self.records.len()));
        Some(mem::replace(&mut self.records, rest))
    }

    fn take(&mut self, batch: Batch) {
        self.waiting.fetch_sub(batch.bytes, Ordering::Relaxed);
        if self.records.is_empty() {
            self.records = batch.records;
        } else {
            self.records.extend(batch.records);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(asks) = self.asks.upgrade() {
            // If it is not heard, the next batch finds nobody.
            asks.try_send(Ask::Leave { partition: self.partition, number: self.number }).ok();
        }
    }
}

/// Starts the task, which ends when nobody can ask it any more.
pub(super) fn start(base: &ClientConfig, topic: &Arc<str>, shard_count: u32) -> mpsc::Sender<Ask> {
    let mut base = reader::config(base, Prefetch::Level);
    // After what waited was taken a fetch begins this much later, at most.
    base.set("fetch.queue.backoff.ms", "1");
    if shard_count > 1 {
        // librdkafka looks at one partition after the other: what is taken meanwhile leaves one of them
        // out of a fetch that then waits for the others for so long.
        base.set("fetch.wait.max.ms", "50");
    }
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let pump = Pump {
        base,
        topic: Arc::clone(topic),
        consumer: None,
        fed: HashMap::new(),
        joined: 0,
        rests: None,
    };
    task::spawn("log-tail", pump.run(asked)).detach();
    asks
}

struct Pump {
    base: ClientConfig,
    topic: Arc<str>,
    /// While anybody is fed.
    consumer: Option<Arc<StreamConsumer<Quiet>>>,
    fed: HashMap<i32, Fed>,
    /// Members so far.
    joined: u64,
    /// Until when the log is not looked at.
    rests: Option<Instant>,
}

/// This consumer may never find the brokers again.
struct Away;

/// The end of a member that is here.
struct Fed {
    number: u64,
    cursor: Cursor,
    batch: Batch,
    batches: mpsc::Sender<Batch>,
    waiting: Arc<AtomicUsize>,
}

impl Pump {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        loop {
            let looked = tokio::select! {
                biased;
                ask = asked.recv() => match ask {
                    None => return,
                    Some(Ask::Join { partition, from, reply, asks }) => {
                        reply.send(self.join(partition, from, asks).await).ok();
                        continue;
                    }
                    Some(Ask::Leave { partition, number }) => {
                        if self.fed.get(&partition).is_some_and(|fed| fed.number == number) {
                            self.let_go(partition).await;
                        }
                        continue;
                    }
                },
                looked = self.look() => looked,
            };
            match looked {
                Ok(over) => {
                    for partition in over {
                        self.let_go(partition).await;
                    }
                }
                Err(Away) => {
                    tracing::debug!("the brokers are away, so each reader looks for them itself");
                    self.fed.clear();
                    self.consumer.take().into_iter().for_each(reader::end);
                }
            }
        }
    }

    async fn join(
        &mut self,
        partition: i32,
        from: Offset,
        asks: mpsc::WeakSender<Ask>,
    ) -> Option<Member> {
        match self.fed.get(&partition) {
            Some(fed) if fed.batches.is_closed() => self.let_go(partition).await,
            Some(_) => return None,
            None => {}
        }
        let (base, topic, consumer) =
            (self.base.clone(), Arc::clone(&self.topic), self.consumer.clone());
        let assign = move || assigned(consumer, &base, &topic, partition, from);
        match ask("log-tail-join", assign).await {
            Ok(consumer) => self.consumer = Some(consumer),
            Err(error) => {
                tracing::debug!(%error, "a reader of the log's end goes by itself");
                return None;
            }
        }
        self.joined += 1;
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let (number, waiting) = (self.joined, Arc::new(AtomicUsize::new(0)));
        let fed = Fed {
            number,
            cursor: Cursor::new(partition, from),
            batch: Batch::default(),
            batches: sender,
            waiting: Arc::clone(&waiting),
        };
        self.fed.insert(partition, fed);
        Some(Member { batches, waiting, records: Vec::new(), partition, number, asks })
    }

    async fn let_go(&mut self, partition: i32) {
        self.fed.remove(&partition);
        if self.fed.is_empty() {
            self.consumer.take().into_iter().for_each(reader::end);
            return;
        }
        let Some(consumer) = self.consumer.clone() else { return };
        let topic = Arc::clone(&self.topic);
        let leave = move || {
            let mut left = TopicPartitionList::with_capacity(1);
            left.add_partition(&topic, partition);
            consumer.incremental_unassign(&left)
        };
        if let Err(error) = ask("log-tail-leave", leave).await {
            // What comes of it is passed over.
            tracing::debug!(%error, "a shard that nobody follows is read on");
        }
    }

    /// Waits for records and hands them out. Tells who could not take them and has to go.
    ///
    /// Dropping it while it waits loses nothing, and from the first record on it does not wait.
    async fn look(&mut self) -> Result<Vec<i32>, Away> {
        let Some(consumer) = self.consumer.clone() else { return std::future::pending().await };
        if let Some(rests) = self.rests {
            sleep_until(rests).await;
            self.rests = None;
        }
        let mut messages = consumer.stream();
        let away = self.fed.values().find_map(|fed| fed.cursor.away());
        let mut next = match away {
            None => messages.next().await,
            Some(since) => match timeout_at(since + AWAY_MAX, messages.next()).await {
                Ok(message) => message,
                Err(_) => return Err(Away),
            },
        };
        let mut looked_at = 0;
        while let Some(message) = next.take() {
            self.take(message);
            looked_at += 1;
            if looked_at < LOOK_MAX {
                next = messages.next().now_or_never().flatten();
            }
        }
        self.rests = (looked_at < LONG_LOOK).then(|| Instant::now() + REST);
        Ok(self
            .fed
            .iter_mut()
            .filter_map(|(&partition, fed)| (!fed.hand_out()).then_some(partition))
            .collect())
    }

    fn take(&mut self, message: KafkaResult<BorrowedMessage<'_>>) {
        match message {
            Ok(message) => {
                self.fed.values_mut().for_each(|fed| fed.cursor.is_back());
                if let Some(fed) = self.fed.get_mut(&message.partition()) {
                    fed.take(&message);
                }
            }
            Err(error) => {
                for fed in self.fed.values_mut() {
                    fed.cursor.note(&self.topic, error.clone());
                }
            }
        }
    }
}

impl Fed {
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        // Nothing follows what cannot be read.
        if message.offset() < self.cursor.next() || self.cursor.has_failed() {
            return;
        }
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        self.batch.bytes += length(message.key()) + length(message.payload());
        self.batch.records.extend(self.cursor.take(message));
    }

    /// Whether it may stay: who has no room left has to go, and who cannot read on, too.
    fn hand_out(&mut self) -> bool {
        let batch = mem::take(&mut self.batch);
        if batch.records.is_empty() {
            return !self.cursor.has_failed();
        }
        let waiting = self.waiting.fetch_add(batch.bytes, Ordering::Relaxed) + batch.bytes;
        self.batches.try_send(batch).is_ok() && waiting <= ROOM && !self.cursor.has_failed()
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.consumer.take().into_iter().for_each(reader::end);
    }
}

fn assigned(
    consumer: Option<Arc<StreamConsumer<Quiet>>>,
    base: &ClientConfig,
    topic: &str,
    partition: i32,
    from: Offset,
) -> KafkaResult<Arc<StreamConsumer<Quiet>>> {
    let consumer = match consumer {
        Some(consumer) => consumer,
        None => Arc::new(base.create_with_context(Quiet)?),
    };
    let mut assignment = TopicPartitionList::with_capacity(1);
    assignment.add_partition_offset(topic, partition, KafkaOffset::Offset(from))?;
    consumer.incremental_assign(&assignment)?;
    Ok(consumer)
}
