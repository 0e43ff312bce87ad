//! How far a group of followers has come in each shard.
//!
//! In Kafka it is kept as consumer-group offsets: the offset is the checkpoint's, so ordinary tools
//! show the lag, and the metadata beside it holds the whole checkpoint as JSON. Nobody joins the
//! group. Two that store for one shard overwrite each other, which costs those who follow at least
//! once nothing but repeated work.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::shard::ShardId;
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
};

use super::{
    BoxError, Checkpoint,
    kafka::{Asked, Denied, Quiet, ask, base},
};
use crate::config;

/// How long the brokers may take to answer.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(5);

/// Events of a client that are looked through for why it has no answer.
const EVENTS_MAX: usize = 256;

/// The checkpoints of a group, one per shard. Clones share them.
#[derive(Clone)]
pub struct Progress(Store);

#[derive(Clone)]
enum Store {
    Kafka(Group),
    Memory(Arc<Mutex<HashMap<ShardId, Checkpoint>>>),
}

#[derive(Clone)]
struct Group {
    client: Arc<BaseConsumer<Quiet>>,
    topic: Arc<str>,
    name: Arc<str>,
    /// What was missing when the brokers were asked last.
    denied: Arc<Mutex<Option<Denied>>>,
}

/// What was stored last is still there, unless it was a store that failed: then either one is.
#[derive(Debug, thiserror::Error)]
#[error("the progress of a group of followers is out of reach")]
pub struct ProgressError(#[source] BoxError);

impl Progress {
    /// Progress as offsets of a consumer group in the topic of the log.
    ///
    /// # Errors
    /// The settings do not make a client. The brokers are not asked yet.
    pub fn open(config: &config::Kafka, group: &str, topic: &str) -> Result<Self, ProgressError> {
        let mut settings = base(config);
        settings.set("group.id", group).set("enable.auto.commit", "false");
        let client = settings.create_with_context(Quiet).map_err(failed)?;
        Ok(Self(Store::Kafka(Group {
            client: Arc::new(client),
            topic: topic.into(),
            name: group.into(),
            denied: Arc::default(),
        })))
    }

    /// Progress that ends with the process, beside a log that does.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Store::Memory(Arc::default()))
    }

    /// # Errors
    /// The brokers do not answer, or what is stored is not a checkpoint.
    pub async fn load(&self, shard: ShardId) -> Result<Option<Checkpoint>, ProgressError> {
        match &self.0 {
            Store::Kafka(group) => group.ask(shard, load).await,
            Store::Memory(stored) => {
                let stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(stored.get(&shard).copied())
            }
        }
    }

    /// # Errors
    /// The brokers do not answer. Storing it again does no harm.
    pub async fn store(&self, shard: ShardId, checkpoint: Checkpoint) -> Result<(), ProgressError> {
        match &self.0 {
            Store::Kafka(group) => {
                let store = move |group: &_, partition| store(group, partition, &checkpoint);
                group.ask(shard, store).await
            }
            Store::Memory(stored) => {
                let mut stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
                stored.insert(shard, checkpoint);
                Ok(())
            }
        }
    }
}

impl Group {
    /// Asks the brokers off the async threads.
    async fn ask<T, Q>(&self, shard: ShardId, question: Q) -> Result<T, ProgressError>
    where
        T: Send + 'static,
        Q: FnOnce(&Self, i32) -> Result<T, BoxError> + Send + 'static,
    {
        let group = self.clone();
        let partition = i32::try_from(shard.index()).map_err(failed)?;
        let question = move || question(&group, partition);
        ask("log-progress", question).await.map_err(ProgressError)
    }

    /// The error, or the right for want of which there is one.
    fn explain(&self, error: KafkaError) -> BoxError {
        let asked = Asked::following(&self.topic, &self.name);
        let mut denied = asked.denied(&error);
        // Why the group's coordinator is not found the client says once, and nobody polls it.
        for _ in 0..EVENTS_MAX {
            if let Some(Err(told)) = self.client.poll(Duration::ZERO) {
                denied = denied.or_else(|| asked.denied(&told));
            }
        }
        let mut known = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(denied) = denied {
            *known = Some(denied);
        }
        match &*known {
            Some(denied) => denied.clone().into(),
            None => error.into(),
        }
    }

    fn is_let_in(&self) {
        *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn load(group: &Group, partition: i32) -> Result<Option<Checkpoint>, BoxError> {
    let mut asked = TopicPartitionList::with_capacity(1);
    asked.add_partition(&group.topic, partition);
    let stored = group.client.committed_offsets(asked, REQUEST_WAIT_MAX);
    let stored = stored.map_err(|error| group.explain(error))?;
    let Some(entry) = stored.find_partition(&group.topic, partition) else { return Ok(None) };
    entry.error().map_err(|error| group.explain(error))?;
    group.is_let_in();
    match entry.offset() {
        KafkaOffset::Offset(_) => Ok(Some(serde_json::from_str(entry.metadata())?)),
        _ => Ok(None),
    }
}

fn store(group: &Group, partition: i32, checkpoint: &Checkpoint) -> Result<(), BoxError> {
    let mut stored = TopicPartitionList::with_capacity(1);
    let mut entry = stored.add_partition(&group.topic, partition);
    entry.set_offset(KafkaOffset::Offset(checkpoint.next_offset))?;
    entry.set_metadata(serde_json::to_string(checkpoint)?);
    let committed = group.client.commit(&stored, CommitMode::Sync);
    committed.map_err(|error| group.explain(error))?;
    group.is_let_in();
    Ok(())
}

fn failed(error: impl Into<BoxError>) -> ProgressError {
    ProgressError(error.into())
}
