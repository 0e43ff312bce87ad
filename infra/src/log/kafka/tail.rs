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

/// Who was not let in asks again after this long.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

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
    /// When it was not let in.
    refused: Option<Instant>,
}

enum At {
    /// Maybe it has come to the end, and has asked to be let in.
    Own(Box<KafkaReader>, Option<oneshot::Receiver<Option<Member>>>),
    Shared(Member),
    /// Of a consumer of its own.
    Opening(Task<Result<KafkaReader, BoxError>>),
}

/// # Errors
/// librdkafka refuses the settings.
pub(super) async fn open(
    tails: &Arc<Tails>,
    partition: i32,
    from: Offset,
) -> Result<TailReader, BoxError> {
    let tails = Arc::clone(tails);
    let own = own(&tails, partition, from).await.map_err(BoxError::from)??;
    Ok(TailReader { tails, partition, next: from, at: At::Own(Box::new(own), None), refused: None })
}

fn own(tails: &Tails, partition: i32, from: Offset) -> Task<Result<KafkaReader, BoxError>> {
    let (base, topic) = (tails.base.clone(), Arc::clone(&tails.topic));
    let open = move || reader::open(&base, topic, partition, from, Prefetch::Tail);
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
        let becomes = match &mut self.at {
            At::Shared(member) => match member.read(max, deadline).await {
                Some(records) => return Ok(records),
                None => At::Opening(own(&self.tails, self.partition, self.next)),
            },
            At::Opening(opening) => match timeout_at(deadline, opening).await {
                Err(_) => return Ok(Vec::new()),
                Ok(Ok(Ok(own))) => At::Own(Box::new(own), None),
                Ok(failed) => {
                    self.at = At::Opening(own(&self.tails, self.partition, self.next));
                    let failed = failed.map_err(BoxError::from).and_then(|opened| opened.map(drop));
                    return failed.map(|()| Vec::new()).map_err(ReadError::Unavailable);
                }
            },
            At::Own(_, Some(joining)) => match timeout_at(deadline, joining).await {
                Err(_) => return Ok(Vec::new()),
                Ok(Ok(Some(member))) => At::Shared(member),
                Ok(_) => {
                    self.refused = Some(Instant::now());
                    if let At::Own(_, joining) = &mut self.at {
                        *joining = None;
                    }
                    return Ok(Vec::new());
                }
            },
            At::Own(own, joining) => {
                let wait = deadline.saturating_duration_since(Instant::now());
                let records = own.read(max, wait).await?;
                let may_ask = self.refused.is_none_or(|at| at.elapsed() >= ASKS_AGAIN);
                if own.is_at_end() && may_ask {
                    let next = records.last().map_or(self.next, |last| last.offset + 1);
                    *joining = Some(self.tails.join(self.partition, next));
                }
                return Ok(records);
            }
        };
        self.at = becomes;
        Ok(Vec::new())
    }
}
