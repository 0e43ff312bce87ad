//! Clients of every shard that send one command after the other, to whichever node takes it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use domain::{
    id::Sku,
    shard::{ShardId, shard_of},
};
use infra::task::{self, Task};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use stack::plain_http;

const CLIENTS_PER_SHARD: u32 = 2;
/// How often a client sends, or tries again.
const SEND_EVERY: Duration = Duration::from_millis(10);
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"quantity":1}"#;
/// Codes that are looked through for one in each shard.
const CODES_MAX: u32 = 10_000;
/// No node has this number.
const NONE: usize = 0;

/// A command that was acknowledged.
pub(super) struct Answered {
    pub(super) shard: u32,
    asked: Instant,
    at: Instant,
    /// Tries before that one.
    pub(super) failures: u32,
}

impl Answered {
    pub(super) fn took(&self) -> Duration {
        self.at - self.asked
    }
}

pub(super) struct Clients {
    shared: Arc<Shared>,
    running: Vec<Task<()>>,
}

struct Shared {
    http: reqwest::Client,
    urls: Vec<String>,
    key: String,
    /// The number of the node that is not asked, from 1.
    avoided: AtomicUsize,
    answers: Mutex<Vec<Answered>>,
    ending: AtomicBool,
}

impl Clients {
    pub(super) fn begin(urls: &[String], shards: u32, key: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            http: plain_http::builder().timeout(ANSWER_WAIT_MAX).build()?,
            urls: urls.to_vec(),
            key: key.to_owned(),
            avoided: AtomicUsize::new(NONE),
            answers: Mutex::default(),
            ending: AtomicBool::new(false),
        });
        let mut running = Vec::new();
        for shard in 0..shards {
            let sku = sku_in(shard, shards)?;
            for _ in 0..CLIENTS_PER_SHARD {
                let client = Arc::clone(&shared).run(shard, sku.clone());
                running.push(task::spawn("client", client));
            }
        }
        Ok(Self { shared, running })
    }

    /// From now on this node is not asked.
    pub(super) fn avoid(&self, number: Option<usize>) {
        self.shared.avoided.store(number.unwrap_or(NONE), Ordering::Relaxed);
    }

    /// What was answered since the last time.
    pub(super) fn take(&self) -> Vec<Answered> {
        std::mem::take(&mut self.shared.answers())
    }

    /// When a command on the shard was first answered after `after`.
    pub(super) fn first_answer(&self, shard: u32, after: Instant) -> Option<Instant> {
        let answers = self.shared.answers();
        let of_shard = answers.iter().filter(|answered| answered.shard == shard);
        of_shard.map(|answered| answered.at).filter(|at| *at > after).min()
    }

    pub(super) async fn end(self) -> Result<()> {
        self.shared.ending.store(true, Ordering::Relaxed);
        for client in self.running {
            client.await?;
        }
        Ok(())
    }
}

impl Shared {
    fn answers(&self) -> MutexGuard<'_, Vec<Answered>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, shard: u32, sku: String) {
        let mut ticks = interval(SEND_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut node = usize::try_from(shard).unwrap_or_default();
        while !self.ending.load(Ordering::Relaxed) {
            let (key, asked, mut failures) = (Uuid::new_v4().to_string(), Instant::now(), 0);
            loop {
                ticks.tick().await;
                node = self.after(node);
                if self.send(node, &sku, &key).await {
                    break;
                }
                failures += 1;
            }
            let at = Instant::now();
            self.answers().push(Answered { shard, asked, at, failures });
        }
    }

    /// The next node in turn, from 1.
    fn after(&self, node: usize) -> usize {
        let next = |node: usize| node % self.urls.len() + 1;
        let avoided = self.avoided.load(Ordering::Relaxed);
        if next(node) == avoided { next(avoided) } else { next(node) }
    }

    /// Whether the command was acknowledged.
    async fn send(&self, node: usize, sku: &str, key: &str) -> bool {
        let url = format!("{}/v1/stock/{sku}/receive", self.urls[node - 1]);
        let request = self.http.post(url).bearer_auth(&self.key).header("idempotency-key", key);
        let request = request.header("content-type", "application/json").body(BODY);
        match request.send().await {
            Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
            Err(_) => false,
        }
    }
}

fn sku_in(shard: u32, shards: u32) -> Result<String> {
    let codes = (0..CODES_MAX).map(|code| format!("failover-{code}"));
    let lies_in_it = |code: &String| {
        let sku: Result<Sku, _> = code.parse();
        sku.is_ok_and(|sku| shard_of(&sku.stock_stream(), shards) == ShardId::new(shard))
    };
    codes.into_iter().find(lies_in_it).context("a code in each shard")
}
