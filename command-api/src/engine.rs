//! The engine: decides commands against aggregates in memory and appends their events to the log.
//!
//! One pure machine per shard ([`step`]) holds everything that is hard to get right; one task per
//! shard ([`shard`]) waits for its inputs and runs its effects. Handlers and process managers hold
//! the [`Engine`], which routes a command to the shard of its stream.
//!
//! **Invariant:** a command is answered only after the shard's own reader machine has emitted the
//! commit (or barrier) that holds its outcome. No delivery report alone ever answers anything.
//!
//! One node serves all shards. `ownership.rs` and `forward.rs` will sit beside `shard.rs` when
//! several nodes share them, and `store.rs` will hold state and dedup entries on disk; until then
//! both live in memory and are rebuilt from the log at start.

mod batch;
mod dedup;
mod effect;
mod events;
mod outcome;
mod shard;
mod status;
mod step;
mod streams;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    Command,
    envelope::Revision,
    id::{CausationId, CommandId, CorrelationId, StreamId},
    shard::{ShardId, shard_of},
};
use infra::{
    clock::Clock,
    log::{EventLog, record::RequestHash},
    position::Position,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use outcome::{EventRef, Outcome};
pub use shard::{Shard, ShardError};
pub use status::{Phase, ShardStatus};
pub use streams::Snapshot;

/// Requests that wait before a shard; beyond it callers are told [`SubmitError::Busy`] at once.
const REQUESTS_WAITING_MAX: usize = 4_096;

/// A command on its way to its stream.
#[derive(Clone, Debug)]
pub struct Submission {
    pub stream: StreamId,
    pub command: Command,
    pub command_id: CommandId,
    /// Tells a retry from another request under the same key.
    pub request_hash: RequestHash,
    /// `If-Match`: refuse with 412 unless the stream is at this revision.
    pub expected_revision: Option<Revision>,
    pub actor: Arc<str>,
    pub correlation_id: CorrelationId,
    pub causation_id: CausationId,
    pub traceparent: Option<Arc<str>>,
}

/// What became of a command, and how far a reader must be to see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub outcome: Outcome,
    /// The outcome was decided by an earlier request with the same command id.
    pub replayed: bool,
    pub position: Position,
}

/// Why there is no answer, by what the caller can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("the command id was used for another request")]
    KeyReused,
    #[error("too much is waiting; try again")]
    Busy,
    #[error("no node serves this shard at the moment; try again")]
    NotOwner,
    /// It may or may not happen: only a retry with the same command id tells.
    #[error("the outcome is not known yet; retry with the same command id")]
    Unknown,
    #[error("the stream holds an event that this release cannot read")]
    StreamUnreadable,
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// Who this node is, as its claims tell.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub url: String,
}

/// The handle: cheap to clone, hides the channels.
#[derive(Clone)]
pub struct Engine {
    shards: Arc<[Handle]>,
}

struct Handle {
    requests: mpsc::Sender<shard::Request>,
    status: tokio::sync::watch::Receiver<ShardStatus>,
}

impl Engine {
    /// One engine over all shards of `log`. The caller runs each returned [`Shard`] as a task.
    #[must_use]
    pub fn new(log: &Arc<dyn EventLog>, node: &Node, clock: &Clock) -> (Self, Vec<Shard>) {
        let (handles, shards) = (0..log.shard_count())
            .map(|index| {
                let id = ShardId::new(index);
                let (requests, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
                let (shard, status) =
                    Shard::new(id, Arc::clone(log), node.clone(), clock.clone(), waiting);
                (Handle { requests, status }, shard)
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        (Self { shards: handles.into() }, shards)
    }

    /// Decides a command and waits until its outcome is settled in the log.
    ///
    /// # Errors
    /// When there is no outcome; past `deadline` that is [`SubmitError::Unknown`].
    pub async fn submit(
        &self,
        submission: Submission,
        deadline: Instant,
    ) -> Result<Answer, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let handle = self.handle(&submission.stream);
        let request = shard::Request::Submit { submission: Box::new(submission), reply };
        handle.requests.try_send(request).map_err(refused)?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_closed)) => Err(SubmitError::Unknown),
            Err(_elapsed) => Err(SubmitError::Unknown),
        }
    }

    /// The state that the log has confirmed, without what is still under way.
    ///
    /// # Errors
    /// When the shard is not served, or the stream cannot be read.
    pub async fn read(&self, stream: &StreamId) -> Result<Snapshot, SubmitError> {
        let mut snapshots = self.read_many(std::slice::from_ref(stream)).await?;
        snapshots.pop().ok_or(SubmitError::NotOwner)
    }

    /// [`Engine::read`] of several streams, one round per shard; in the order asked.
    ///
    /// # Errors
    /// As [`Engine::read`], for the first stream that has one.
    pub async fn read_many(&self, streams: &[StreamId]) -> Result<Vec<Snapshot>, SubmitError> {
        let mut by_shard: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
        for (place, stream) in streams.iter().enumerate() {
            by_shard.entry(self.shard_of(stream)).or_default().push(place);
        }
        let mut rounds = Vec::with_capacity(by_shard.len());
        for places in by_shard.into_values() {
            let wanted: Vec<StreamId> =
                places.iter().filter_map(|&place| streams.get(place).cloned()).collect();
            let Some(first) = wanted.first() else { continue };
            let (reply, answer) = oneshot::channel();
            let handle = self.handle(first);
            handle
                .requests
                .try_send(shard::Request::Read { streams: wanted, reply })
                .map_err(refused)?;
            rounds.push((places, answer));
        }
        let mut found: BTreeMap<usize, Snapshot> = BTreeMap::new();
        let deadline = Instant::now() + READ_WAIT_MAX;
        for (places, answer) in rounds {
            let snapshots = match tokio::time::timeout_at(deadline, answer).await {
                Ok(Ok(result)) => result?,
                Ok(Err(_closed)) => return Err(SubmitError::NotOwner),
                Err(_elapsed) => return Err(SubmitError::NotOwner),
            };
            found.extend(places.into_iter().zip(snapshots));
        }
        Ok(found.into_values().collect())
    }

    /// How each shard stands.
    #[must_use]
    pub fn status(&self) -> Vec<ShardStatus> {
        self.shards.iter().map(|handle| handle.status.borrow().clone()).collect()
    }

    #[must_use]
    pub fn shard_of(&self, stream: &StreamId) -> ShardId {
        shard_of(stream, u32::try_from(self.shards.len()).unwrap_or(u32::MAX))
    }

    #[must_use]
    pub fn shard_count(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }

    fn handle(&self, stream: &StreamId) -> &Handle {
        let index = usize::try_from(self.shard_of(stream).index()).unwrap_or(usize::MAX);
        &self.shards[index]
    }
}

/// Reads wait for a take-over to end, not longer.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);

fn refused<T>(error: mpsc::error::TrySendError<T>) -> SubmitError {
    match error {
        mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
        mpsc::error::TrySendError::Closed(_) => SubmitError::ShuttingDown,
    }
}
