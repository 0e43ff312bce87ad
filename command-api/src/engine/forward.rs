//! Taking a command or a read to the node that owns its shard, in one hop.
//!
//! A node that is asked by another never asks a third one: it answers itself, or says that it is
//! not the owner. Asking again is harmless, however the first time ended: a command keeps its id,
//! under which the log holds one outcome.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::StatusCode;
use domain::{id::StreamId, shard::ShardId};
use infra::{http::trace::TRACEPARENT, membership::Member};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{Answer, Consistency, Engine, ShardStatus, Snapshot, Submission, SubmitError};

/// A node that does not take the connection within this is taken for gone.
const CONNECT_WAIT_MAX: Duration = Duration::from_millis(500);

/// How much longer an answer is waited for than the other node takes to make one.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(250);

/// Connections to another node that are kept while nothing is sent.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// Paths under which nodes ask each other.
pub const SUBMIT_PATH: &str = "/internal/v1/submit";
pub const READ_PATH: &str = "/internal/v1/read";
pub const SHARDS_PATH: &str = "/internal/v1/shards";

/// How other nodes are asked.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    async fn submit(
        &self,
        peer: &Member,
        submission: &Submission,
        wait: Duration,
    ) -> Result<Answer, PeerError>;

    async fn read(
        &self,
        peer: &Member,
        streams: &[StreamId],
        consistency: Consistency,
        wait: Duration,
    ) -> Result<Vec<Snapshot>, PeerError>;

    async fn shards(&self, peer: &Member, wait: Duration) -> Result<Vec<ShardStatus>, PeerError>;
}

/// Why another node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The node's own word.
    #[error(transparent)]
    Refused(#[from] SubmitError),
    /// It is not known whether the node was reached.
    #[error("the node does not answer")]
    Unreachable(#[source] reqwest::Error),
}

/// What is asked of a shard's owner, be it this node or another one. It can be asked again.
#[async_trait]
pub(super) trait Question: Send + Sync {
    type Answer;

    /// What metrics call it.
    const NAME: &'static str;

    async fn ask_here(
        &self,
        engine: &Engine,
        deadline: Instant,
    ) -> Result<Self::Answer, SubmitError>;

    async fn ask(
        &self,
        peers: &dyn Peers,
        peer: &Member,
        deadline: Instant,
    ) -> Result<Self::Answer, PeerError>;
}

pub(super) struct Submit(pub(super) Arc<Submission>);

#[async_trait]
impl Question for Submit {
    type Answer = Answer;

    const NAME: &'static str = "submit";

    async fn ask_here(&self, engine: &Engine, deadline: Instant) -> Result<Answer, SubmitError> {
        engine.submit_here(Arc::clone(&self.0), deadline).await
    }

    async fn ask(
        &self,
        peers: &dyn Peers,
        peer: &Member,
        deadline: Instant,
    ) -> Result<Answer, PeerError> {
        peers.submit(peer, &self.0, left(deadline)).await
    }
}

pub(super) struct Read {
    pub(super) shard: ShardId,
    pub(super) streams: Vec<StreamId>,
    pub(super) consistency: Consistency,
}

#[async_trait]
impl Question for Read {
    type Answer = Vec<Snapshot>;

    const NAME: &'static str = "read";

    async fn ask_here(&self, engine: &Engine, _: Instant) -> Result<Vec<Snapshot>, SubmitError> {
        engine.read_here(self.shard, self.streams.clone(), self.consistency).await
    }

    async fn ask(
        &self,
        peers: &dyn Peers,
        peer: &Member,
        deadline: Instant,
    ) -> Result<Vec<Snapshot>, PeerError> {
        peers.read(peer, &self.streams, self.consistency, left(deadline)).await
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// A command as one node sends it to another.
#[derive(Serialize, Deserialize)]
pub struct SubmitRequest<S> {
    pub submission: S,
    pub wait_millis: u64,
}

#[derive(Serialize, Deserialize)]
pub struct ReadRequest<S> {
    pub streams: S,
    pub consistency: Consistency,
}

/// Over HTTP, with the secret that all nodes share.
pub struct HttpPeers {
    client: reqwest::Client,
    secret: SecretString,
}

impl HttpPeers {
    /// # Errors
    /// The client cannot be made.
    pub fn new(secret: SecretString) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WAIT_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        Ok(Self { client, secret })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        peer: &Member,
        path: &str,
        body: &(impl Serialize + Sync),
        traceparent: Option<&str>,
        wait: Duration,
    ) -> Result<T, PeerError> {
        let url = format!("{}{path}", peer.url.trim_end_matches('/'));
        let request = self
            .client
            .post(url)
            .bearer_auth(self.secret.expose_secret())
            .timeout(wait + ANSWER_WAIT_MAX);
        let request = match traceparent {
            Some(traceparent) => request.header(TRACEPARENT, traceparent),
            None => request,
        };
        let response = request.json(body).send().await.map_err(PeerError::Unreachable)?;
        if let Some(final_word) = final_word(response.status()) {
            return Err(final_word.into());
        }
        let response = response.error_for_status().map_err(PeerError::Unreachable)?;
        let answer: Result<T, SubmitError> =
            response.json().await.map_err(PeerError::Unreachable)?;
        Ok(answer?)
    }
}

/// A node that has refused the request itself has done nothing of it, and would refuse it again.
fn final_word(status: StatusCode) -> Option<SubmitError> {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Some(SubmitError::TooLarge),
        // It might take it the next time.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Some(SubmitError::Busy),
        status => status.is_client_error().then_some(SubmitError::NotTaken),
    }
}

#[async_trait]
impl Peers for HttpPeers {
    async fn submit(
        &self,
        peer: &Member,
        submission: &Submission,
        wait: Duration,
    ) -> Result<Answer, PeerError> {
        let wait_millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let traceparent = submission.traceparent.as_deref();
        let body = SubmitRequest { submission, wait_millis };
        self.ask(peer, SUBMIT_PATH, &body, traceparent, wait).await
    }

    async fn read(
        &self,
        peer: &Member,
        streams: &[StreamId],
        consistency: Consistency,
        wait: Duration,
    ) -> Result<Vec<Snapshot>, PeerError> {
        self.ask(peer, READ_PATH, &ReadRequest { streams, consistency }, None, wait).await
    }

    async fn shards(&self, peer: &Member, wait: Duration) -> Result<Vec<ShardStatus>, PeerError> {
        self.ask(peer, SHARDS_PATH, &(), None, wait).await
    }
}

/// For a node that is always alone.
pub struct NoPeers;

#[async_trait]
impl Peers for NoPeers {
    async fn submit(&self, _: &Member, _: &Submission, _: Duration) -> Result<Answer, PeerError> {
        Err(SubmitError::NotOwner.into())
    }

    async fn read(
        &self,
        _: &Member,
        _: &[StreamId],
        _: Consistency,
        _: Duration,
    ) -> Result<Vec<Snapshot>, PeerError> {
        Err(SubmitError::NotOwner.into())
    }

    async fn shards(&self, _: &Member, _: Duration) -> Result<Vec<ShardStatus>, PeerError> {
        Err(SubmitError::NotOwner.into())
    }
}
