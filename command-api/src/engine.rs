//! The engine: decides commands against aggregates in memory and appends their events to the log.
//!
//! One pure machine per shard ([`step`]) holds everything that is hard to get right; one task per
//! shard ([`shard`]) waits for its inputs and runs its effects. Handlers and process managers hold
//! the [`Engine`], which routes a command to the shard of its stream.
//!
//! **Invariant:** a command is answered only after the shard's own reader machine has emitted the
//! commit (or barrier) that holds its outcome. No delivery report alone ever answers anything.
//!
//! Several nodes share the shards: [`ownership`] tells which should own which, [`forward`] takes a
//! command to the one that does. Aggregates and outcomes live in memory as far as they are in use,
//! and in a [`store`] behind the log, so that a restart replays only what came after it.

mod admission;
mod ask;
mod batch;
mod dedup;
// Public with `step`: the simulator is another shell around the same machine.
pub mod effect;
mod events;
pub mod forward;
mod hand_over;
mod listener;
mod outcome;
pub mod ownership;
mod precondition;
mod reactions;
mod refold;
mod request;
mod saver;
mod shard;
mod snapshots;
mod status;
pub mod step;
pub mod store;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use domain::{
    Listed,
    id::{CommandId, StreamId},
    shard::{ShardId, shard_of},
};
use futures_util::future::{join_all, try_join_all};
use infra::{
    clock::Clock,
    log::{EventLog, Offset},
    membership::Member,
    position::Position,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use admission::{Admission, Place};
pub(crate) use admission::{patiently, until_room};
pub(crate) use dedup::KEPT as OUTCOMES_KEPT;
pub use listener::{Emitted, Listening};
pub use outcome::{EventRef, Outcome};
pub use ownership::{Cluster, Node};
pub use precondition::Precondition;
pub(crate) use reactions::Reactions;
pub use request::{
    Answer, Answered, Ask, Consistency, Found, ReadError, Shown, Snapshot, Submission, SubmitError,
};
pub use shard::{Shard, ShardError};
pub use snapshots::{SnapshotRepository, SnapshotRepositoryError};
pub use status::{Phase, ShardStatus, ShardView};
pub use store::Stores;

/// Requests that wait before a shard; beyond it callers are told [`SubmitError::Busy`] at once.
const REQUESTS_WAITING_MAX: usize = 4_096;

/// What the names of process managers begin with, as actors.
pub const PROCESS_ACTORS: &str = "process:";

/// The handle: cheap to clone, hides the channels and where a shard is served.
#[derive(Clone)]
pub struct Engine {
    shards: Arc<[Handle]>,
    node: Arc<str>,
    cluster: Cluster,
    admission: Admission,
}

struct Handle {
    requests: mpsc::Sender<shard::Request>,
    status: watch::Receiver<ShardStatus>,
    reactions: Reactions,
}

impl Engine {
    /// One engine over all shards of `log`. The caller runs each returned [`Shard`] as a task.
    #[must_use]
    pub fn new(
        log: &Arc<dyn EventLog>,
        node: &Node,
        clock: &Clock,
        cluster: Cluster,
        stores: &Stores,
    ) -> (Self, Vec<Shard>) {
        let (handles, shards) = (0..log.shard_count())
            .map(|index| {
                let id = ShardId::new(index);
                let (requests, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
                let log = Arc::clone(log);
                let (node, clock, stores) = (node.clone(), clock.clone(), stores.clone());
                let (shard, status) = Shard::new(id, log, node, clock, stores, waiting, &cluster);
                (Handle { requests, status, reactions: Reactions::default() }, shard)
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let (handles, node) = (handles.into(), node.name.as_str().into());
        (Self { shards: handles, node, cluster, admission: Admission::default() }, shards)
    }

    /// This engine for clients and other nodes: so many of their requests may wait for its shards.
    #[must_use]
    pub fn admitting(&self, requests_max: usize) -> Self {
        Self { admission: Admission::of(requests_max, self.shards.len()), ..self.clone() }
    }

    /// Decides a command, here or where its shard is served, and waits until its outcome is
    /// settled in the log.
    ///
    /// # Errors
    /// When there is no outcome; past `deadline` that is [`SubmitError::Unknown`], unless it is
    /// certain that the command reached nobody.
    pub async fn submit(
        &self,
        submission: impl Into<Arc<Submission>>,
        deadline: Instant,
    ) -> Result<Answer, SubmitError> {
        let submission = submission.into();
        let ask = Ask::Submit(Arc::clone(&submission));
        let mut wanted = BTreeMap::from([self.wanted(&ask)]);
        if let Some(stream) = &submission.told {
            *wanted.entry(self.shard_of(stream)).or_default() += 1;
        }
        let awaits = ask.awaits_reactions().is_some();
        let answered = until_room(|| async {
            let _places = self.admission.enter(&wanted, awaits).await?;
            self.ask_owner(&ask, deadline).await
        });
        match answered.await? {
            Answered::Submitted(answer) => Ok(answer),
            // Nobody answers a question with the answer of another one.
            Answered::Shown(_) | Answered::Known(_) => Err(SubmitError::Unknown),
        }
    }

    /// The state that the log has confirmed, without what is still under way.
    ///
    /// # Errors
    /// When the shard is not served, or the stream cannot be read.
    pub async fn read<A: Listed>(
        &self,
        id: &A::Id,
        consistency: Consistency,
    ) -> Result<Snapshot<Arc<A>>, ReadError> {
        self.show(id, consistency).await.map(|(snapshot, _)| snapshot)
    }

    /// A place among those who wait for a stream's shard, for who shows one thing to many and must not keep
    /// them waiting for room: [`ReadError::Busy`] if there is none.
    pub(crate) fn place(&self, stream: &StreamId) -> Result<Vec<Place>, ReadError> {
        Ok(self.admission.try_enter(self.shard_of(stream))?)
    }

    /// [`Engine::read`], and how far in the log it reaches.
    ///
    /// # Errors
    /// As there.
    pub async fn show<A: Listed>(
        &self,
        id: &A::Id,
        consistency: Consistency,
    ) -> Result<(Snapshot<Arc<A>>, Position), ReadError> {
        self.show_stream(&StreamId::of::<A>(id), consistency).await
    }

    /// [`Engine::show`] of a stream that should hold such an aggregate.
    ///
    /// # Errors
    /// As [`Engine::read`].
    pub async fn show_stream<A: Listed>(
        &self,
        stream: &StreamId,
        consistency: Consistency,
    ) -> Result<(Snapshot<Arc<A>>, Position), ReadError> {
        let shard = self.shard_of(stream);
        let shown = self.read_shard(shard, vec![stream.clone()], consistency).await?;
        let snapshot = shown.snapshots.first().ok_or(ReadError::NotServed)?;
        Ok((snapshot.of().ok_or(ReadError::WrongStream)?, shown.at))
    }

    /// [`Engine::read`] of several streams of any kinds, one round per shard: of all, or of none. What costs
    /// the log a round needs room in the shards.
    ///
    /// # Errors
    /// As [`Engine::read`], for the first stream that has one.
    pub async fn read_many(
        &self,
        streams: &BTreeSet<StreamId>,
        consistency: Consistency,
    ) -> Result<Found, ReadError> {
        let mut by_shard: BTreeMap<ShardId, Vec<StreamId>> = BTreeMap::new();
        for stream in streams {
            by_shard.entry(self.shard_of(stream)).or_default().push(stream.clone());
        }
        let costs = consistency == Consistency::Linearizable;
        let asked = by_shard.iter().filter(|_| costs);
        let wanted = asked.map(|(shard, streams)| (*shard, streams.len())).collect();
        until_room(|| async {
            let _places = self.admission.enter(&wanted, false).await?;
            let rounds = by_shard.iter().map(|(shard, streams)| async move {
                let shown = self.read_shard(*shard, streams.clone(), consistency).await?;
                Ok::<_, ReadError>(streams.iter().cloned().zip(shown.snapshots))
            });
            let rounds = try_join_all(rounds).await?;
            Ok::<_, ReadError>(Found(rounds.into_iter().flatten().collect()))
        })
        .await
    }

    async fn read_shard(
        &self,
        shard: ShardId,
        streams: Vec<StreamId>,
        consistency: Consistency,
    ) -> Result<Shown, ReadError> {
        let ask = Ask::Read { shard, streams, consistency };
        match self.ask_owner(&ask, Instant::now() + READ_WAIT_MAX).await? {
            Answered::Shown(shown) => Ok(shown),
            Answered::Submitted(_) | Answered::Known(_) => Err(ReadError::NotServed),
        }
    }

    /// Whether a command for this stream has been decided under this id and is remembered, or is about
    /// to be: then [`Engine::submit`] answers it from there, whatever holds of the stream by now.
    ///
    /// # Errors
    /// When the shard is not served.
    pub async fn knows(&self, stream: &StreamId, command_id: CommandId) -> Result<bool, ReadError> {
        let ask = Ask::Knows { shard: self.shard_of(stream), command_id };
        let _place = self.admission.enter(&BTreeMap::from([self.wanted(&ask)]), false).await?;
        match self.ask_owner(&ask, Instant::now() + READ_WAIT_MAX).await? {
            Answered::Known(known) => Ok(known),
            Answered::Submitted(_) | Answered::Shown(_) => Err(ReadError::NotServed),
        }
    }

    /// What the shard's machine emits from now on, if it serves the shard here. As many commits may
    /// wait for the listener; one that falls further behind is told no more.
    pub async fn listen(&self, shard: ShardId, commits_max: usize) -> Option<Listening> {
        let (reply, listening) = oneshot::channel();
        let request = shard::Request::Listen { commits_max, reply };
        self.handle(shard).requests.try_send(request).ok()?;
        listening.await.ok()
    }

    /// How far this node has read a shard's log.
    #[must_use]
    pub fn next_offset(&self, shard: ShardId) -> Offset {
        self.handle(shard).status.borrow().next_offset
    }

    /// How each shard stands.
    #[must_use]
    pub fn status(&self) -> Vec<ShardStatus> {
        self.shards.iter().map(|handle| handle.status.borrow().clone()).collect()
    }

    #[must_use]
    pub fn shard_of(&self, stream: &StreamId) -> ShardId {
        shard_of(stream, self.shard_count())
    }

    #[must_use]
    pub fn shard_count(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }

    /// The node that should own a shard, if one is known.
    #[must_use]
    pub fn owner(&self, shard: ShardId) -> Option<Member> {
        self.cluster.view.borrow().owner(shard).cloned()
    }

    fn owns(&self, shard: ShardId) -> bool {
        self.cluster.view.borrow().owner(shard).is_some_and(|owner| self.is_this(owner))
    }

    #[must_use]
    pub fn is_this(&self, member: &Member) -> bool {
        *member.node == *self.node
    }

    /// How each shard stands, as its owner says.
    pub async fn shards(&self) -> Vec<ShardView> {
        let view = self.cluster.view.borrow().clone();
        let others = view.members().iter().filter(|member| !self.is_this(member));
        let peers = &self.cluster.peers;
        let asked = others.map(|member| async move {
            let status = peers.shards(member, PEER_STATUS_WAIT_MAX).await;
            (member.node.as_str(), status.unwrap_or_default())
        });
        let elsewhere: BTreeMap<&str, _> = join_all(asked).await.into_iter().collect();
        let seen = |here: ShardStatus| {
            let owner = view.owner(here.shard).cloned();
            let at_owner = owner.as_ref().and_then(|owner| {
                if self.is_this(owner) {
                    return Some(here.clone());
                }
                let all: &Vec<ShardStatus> = elsewhere.get(owner.node.as_str())?;
                all.iter().find(|status| status.shard == here.shard).cloned()
            });
            ShardView { shard: here.shard, owner, at_owner, here }
        };
        self.status().into_iter().map(seen).collect()
    }

    fn handle(&self, shard: ShardId) -> &Handle {
        let index = usize::try_from(shard.index()).unwrap_or(usize::MAX);
        &self.shards[index]
    }
}

/// How long an operator's question waits for a node that may be away.
const PEER_STATUS_WAIT_MAX: Duration = Duration::from_secs(1);

/// Reads wait for a take-over to end, not longer.
pub(crate) const READ_WAIT_MAX: Duration = Duration::from_secs(5);
