//! Taking a command or a read to the node that owns its shard, in one hop.
//!
//! A node that is asked by another never asks a third one: it answers itself, or says that it is
//! not the owner. Asking again is harmless, however the first time ended: a command keeps its id,
//! under which the log holds one outcome.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use bytes::Bytes;
use domain::id::CommandId;
use infra::{
    http::trace::TRACEPARENT,
    log::BoxError,
    membership::{Member, seal::Sealer},
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{
    request::{Answered, Ask, Consistency, SubmitError},
    status::ShardStatus,
};

/// A node that does not take the connection within this is taken for gone.
const CONNECT_WAIT_MAX: Duration = Duration::from_millis(500);

/// How much longer an answer is waited for than the other node takes to make one.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(250);

/// Connections to another node that are kept while nothing is sent, if there may be as many.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// Paths under which nodes ask each other.
pub const SUBMIT_PATH: &str = "/internal/v1/submit";
pub const READ_PATH: &str = "/internal/v1/read";
pub const KNOWS_PATH: &str = "/internal/v1/knows";
pub const SHARDS_PATH: &str = "/internal/v1/shards";

/// What a request and its answer bear, as [`infra::membership::seal`] makes it.
pub const SEAL: &str = "tradewind-peer";
pub const ANSWER_SEAL: &str = "tradewind-peer-answer";

/// A command grows a bit on its way: names of fields, and what was looked up for it.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// How other nodes are asked.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    async fn ask(&self, peer: &Member, ask: &Ask, wait: Duration) -> Result<Answered, PeerError>;

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
    Unreachable(#[source] BoxError),
}

pub(super) fn left(deadline: Instant) -> Duration {
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

#[derive(Serialize, Deserialize)]
pub struct KnowsRequest {
    pub shard: u32,
    pub command_id: CommandId,
}

/// Over HTTP, each request and each answer with a MAC under the secret that all nodes share.
pub struct HttpPeers {
    client: reqwest::Client,
    sealer: Sealer,
    under_way: UnderWay,
    /// Those of them that wait for process managers: half, for what they wait for may have to come here.
    awaiting: UnderWay,
}

impl HttpPeers {
    /// With so many requests to a node under way at most.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn new(sealer: Sealer, under_way_max: usize) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WAIT_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX.min(under_way_max))
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        let (under_way, awaiting) =
            (UnderWay::new(under_way_max), UnderWay::new(under_way_max / 2));
        Ok(Self { client, sealer, under_way, awaiting })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        peer: &Member,
        path: &str,
        body: &(impl Serialize + Sync),
        traceparent: Option<&str>,
        wait: Duration,
    ) -> Result<T, PeerError> {
        let body = serde_json::to_vec(body).map_err(unreachable)?;
        if body.len() > BODY_BYTES_MAX {
            return Err(SubmitError::TooLarge.into());
        }
        let deadline = Instant::now() + wait;
        let _place = self.under_way.enter(peer, wait).await?;
        let wait = left(deadline);
        let (status, answer) =
            self.exchange(peer, path, body, traceparent, wait).await.map_err(unreachable)?;
        if let Some(final_word) = final_word(status) {
            return Err(final_word.into());
        }
        if !status.is_success() {
            return Err(unreachable(format!("it answers {status}")));
        }
        let answer: Result<T, SubmitError> =
            serde_json::from_slice(&answer).map_err(unreachable)?;
        Ok(answer?)
    }

    /// What the node says to it, which nobody else can say.
    async fn exchange(
        &self,
        peer: &Member,
        path: &str,
        body: Vec<u8>,
        traceparent: Option<&str>,
        wait: Duration,
    ) -> Result<(StatusCode, Bytes), BoxError> {
        let url = format!("{}{path}", peer.url.trim_end_matches('/'));
        let (seal, tag) = self.sealer.seal(&peer.node, path, &body);
        let request = self.client.post(url).timeout(wait + ANSWER_WAIT_MAX).header(SEAL, seal);
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let request = match traceparent {
            Some(traceparent) => request.header(TRACEPARENT, traceparent),
            None => request,
        };
        let response = request.send().await?;
        let (status, seal) = (response.status(), response.headers().get(ANSWER_SEAL).cloned());
        let answer = response.bytes().await?;
        let seal = seal.as_ref().and_then(|seal| seal.to_str().ok()).unwrap_or_default();
        if self.sealer.key().verifies_answer(seal, &tag, status.as_u16(), &answer) {
            Ok((status, answer))
        } else {
            Err(format!("an answer ({status}) that does not prove to be the node's own").into())
        }
    }
}

fn unreachable(error: impl Into<BoxError>) -> PeerError {
    PeerError::Unreachable(error.into())
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
    async fn ask(&self, peer: &Member, ask: &Ask, wait: Duration) -> Result<Answered, PeerError> {
        let deadline = Instant::now() + wait;
        let _place = match ask.awaits_reactions() {
            Some(_) => Some(self.awaiting.enter(peer, wait).await?),
            None => None,
        };
        let wait = left(deadline);
        match ask {
            Ask::Submit(submission) => {
                let wait_millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let traceparent = submission.traceparent.as_deref();
                let body = SubmitRequest { submission: &**submission, wait_millis };
                let answer = self.post(peer, SUBMIT_PATH, &body, traceparent, wait).await;
                answer.map(Answered::Submitted)
            }
            Ask::Read { streams, consistency, .. } => {
                let body = ReadRequest { streams, consistency: *consistency };
                self.post(peer, READ_PATH, &body, None, wait).await.map(Answered::Shown)
            }
            Ask::Knows { shard, command_id } => {
                let body = KnowsRequest { shard: shard.index(), command_id: *command_id };
                self.post(peer, KNOWS_PATH, &body, None, wait).await.map(Answered::Known)
            }
        }
    }

    async fn shards(&self, peer: &Member, wait: Duration) -> Result<Vec<ShardStatus>, PeerError> {
        self.post(peer, SHARDS_PATH, &(), None, wait).await
    }
}

/// How many requests this node has under way to each other one. Each has a connection of its own, and the
/// other node serves so many and no more. Whoever finds the places taken waits, for as long as it would for
/// the answer.
struct UnderWay {
    max: usize,
    by_url: Mutex<FxHashMap<String, Arc<Semaphore>>>,
}

impl UnderWay {
    fn new(max: usize) -> Self {
        Self { max: max.clamp(1, Semaphore::MAX_PERMITS), by_url: Mutex::default() }
    }

    /// A place among the requests to a node, if there was one in time; dropping it makes room.
    async fn enter(
        &self,
        peer: &Member,
        wait: Duration,
    ) -> Result<OwnedSemaphorePermit, SubmitError> {
        let places = {
            let mut all = self.by_url.lock().unwrap_or_else(PoisonError::into_inner);
            if !all.contains_key(&peer.url) {
                // A node that nobody asks now may have gone.
                all.retain(|_, places| Arc::strong_count(places) > 1);
            }
            let new = || Arc::new(Semaphore::new(self.max));
            Arc::clone(all.entry(peer.url.clone()).or_insert_with(new))
        };
        match timeout(wait, places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(SubmitError::Busy),
        }
    }
}

/// For a node that is always alone.
pub struct NoPeers;

#[async_trait]
impl Peers for NoPeers {
    async fn ask(&self, _: &Member, _: &Ask, _: Duration) -> Result<Answered, PeerError> {
        Err(SubmitError::NotOwner.into())
    }

    async fn shards(&self, _: &Member, _: Duration) -> Result<Vec<ShardStatus>, PeerError> {
        Err(SubmitError::NotOwner.into())
    }
}
