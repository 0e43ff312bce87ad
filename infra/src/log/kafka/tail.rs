//! Readers that follow the end of their shards. Each has a consumer of its own until it is level with the
//! log, then all of this process share one ([`pump`]): a connection and threads for each shard would cost
//! what they cost whether something comes or not.
//!
//! Whatever is the matter with the shared one, or with a reader that does not keep up with it, the reader
//! goes back to a consumer of its own, which tells what it is. So does a second one of the same shard.

mod pump;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rdkafka::ClientConfig;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    client::ask,
    reader::{self, KafkaReader},
};
use crate::{
    log::{BoxError, LogReader, Offset, Prefetch, ReadError, record::LogRecord},
    task::{self, Task},
};
use pump::{Ask, Member};

/// Who finds so few records each time, and so many times in a row, is level, or nearly so.
const SHORT_READ: usize = 100;
const SHORT_READS: u32 = 3;
/// How long an answer may take to who asks to be let in.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// What the readers of a topic share that follow its end.
pub(super) struct Tails {
    base: ClientConfig,
    topic: Arc<str>,
    shard_count: u32,
    /// Where the task is asked that feeds them, once there was one.
    pump: Mutex<Option<mpsc::Sender<Ask>>>,
}

impl Tails {
    pub(super) fn new(base: ClientConfig, topic: Arc<str>, shard_count: u32) -> Self {
        Self { base, topic, shard_count, pump: Mutex::default() }
    }

    /// Asks to be fed with what is from this offset on. No member: somebody else is, of this shard.
    fn join(&self, partition: i32, from: Offset) -> oneshot::Receiver<Option<Member>> {
        let mut pump = self.pump.lock().unwrap_or_else(PoisonError::into_inner);
        // It ends with the runtime that it began in.
        let asks = pump.take().filter(|asks| !asks.is_closed());
        let asks = asks.unwrap_or_else(|| pump::start(&self.base, &self.topic, self.shard_count));
        let (reply, member) = oneshot::channel();
        asks.try_send(Ask::Join { partition, from, reply, asks: asks.downgrade() }).ok();
        *pump = Some(asks);
        member
    }
}

pub(super) struct TailReader {
    tails: Arc<Tails>,
    partition: i32,
    /// Where reading goes on.
    next: Offset,
    at: At,
}

enum At {
    /// Has found little so many times in a row.
    Behind(Box<KafkaReader>, u32),
    /// Has asked to be let in, until then.
    Joining(oneshot::Receiver<Option<Member>>, Instant),
    Shared(Member),
    /// Was not let in.
    Alone(Box<KafkaReader>),
    /// Of a consumer of its own.
    Opening(Task<Result<KafkaReader, BoxError>>, Prefetch),
}

/// # Errors
/// librdkafka refuses the settings.
pub(super) async fn open(
    tails: &Arc<Tails>,
    partition: i32,
    from: Offset,
) -> Result<TailReader, BoxError> {
    let tails = Arc::clone(tails);
    let own = own(&tails, partition, from, Prefetch::Tail).await.map_err(BoxError::from)??;
    Ok(TailReader { tails, partition, next: from, at: At::Behind(Box::new(own), 0) })
}

fn own(
    tails: &Tails,
    partition: i32,
    from: Offset,
    prefetch: Prefetch,
) -> Task<Result<KafkaReader, BoxError>> {
    let (base, topic) = (tails.base.clone(), Arc::clone(&tails.topic));
    let open = move || reader::open(&base, topic, partition, from, prefetch);
    task::spawn("log-open-reader", ask("log-open-reader", open))
}

#[async_trait]
impl LogReader for TailReader {
    async fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<LogRecord>, ReadError> {
        let deadline = Instant::now() + wait;
        let mut records = Vec::new();
        // What is asked for in vain is waited for by the next read.
        while records.is_empty() && Instant::now() < deadline {
            records = self.step(max, deadline).await?;
        }
        self.next = records.last().map_or(self.next, |last| last.offset + 1);
        Ok(records)
    }
}

impl TailReader {
    /// Reads, or comes nearer to it. Dropping the future loses nothing.
    async fn step(&mut self, max: usize, deadline: Instant) -> Result<Vec<LogRecord>, ReadError> {
        match &mut self.at {
            At::Shared(member) => match member.read(max, deadline).await {
                Some(records) => return Ok(records),
                None => self.reopen(Prefetch::Tail),
            },
            At::Opening(opening, prefetch) => {
                let prefetch = *prefetch;
                match timeout_at(deadline, opening).await {
                    Err(_) => {}
                    Ok(Ok(Ok(own))) if prefetch == Prefetch::Tail => {
                        self.at = At::Behind(Box::new(own), 0);
                    }
                    Ok(Ok(Ok(own))) => self.at = At::Alone(Box::new(own)),
                    Ok(failed) => {
                        self.reopen(prefetch);
                        let failed = failed.map_err(BoxError::from).and_then(|it| it.map(drop));
                        failed.map_err(ReadError::Unavailable)?;
                    }
                }
            }
            At::Joining(joining, until) => {
                let until = *until;
                match timeout_at(deadline.min(until), joining).await {
                    Ok(Ok(Some(member))) => self.at = At::Shared(member),
                    Err(_) if Instant::now() < until => {}
                    _ => self.reopen(Prefetch::Level),
                }
            }
            At::Alone(own) => {
                let wait = deadline.saturating_duration_since(Instant::now());
                return own.read(max, wait).await;
            }
            At::Behind(own, short) => {
                let wait = deadline.saturating_duration_since(Instant::now());
                let records = own.read(max, wait).await?;
                *short = if records.len() < SHORT_READ { *short + 1 } else { 0 };
                if own.is_at_end() || *short >= SHORT_READS {
                    let next = records.last().map_or(self.next, |last| last.offset + 1);
                    let joining = self.tails.join(self.partition, next);
                    self.at = At::Joining(joining, Instant::now() + JOIN_WAIT_MAX);
                }
                return Ok(records);
            }
        }
        Ok(Vec::new())
    }

    fn reopen(&mut self, prefetch: Prefetch) {
        self.at = At::Opening(own(&self.tails, self.partition, self.next, prefetch), prefetch);
    }
}
