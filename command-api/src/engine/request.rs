//! What the engine is asked, and what it answers.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    Command, Listed, State,
    addressed::Addressed,
    capability::capabilities,
    envelope::Revision,
    id::{CausationId, CommandId, CorrelationId, StreamId},
    shard::ShardId,
    timestamp::Timestamp,
};
use infra::{log::record::RequestHash, membership::Member, position::Position};
use serde::{Deserialize, Serialize};

use super::{Outcome, Precondition};

/// A command on its way to its stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submission {
    pub(super) stream: StreamId,
    pub(super) command: Command,
    pub command_id: CommandId,
    /// Tells a retry from another request under the same key.
    pub request_hash: RequestHash,
    /// Refuse with 412 unless this holds of the stream.
    pub precondition: Precondition,
    pub actor: Arc<str>,
    pub correlation_id: CorrelationId,
    pub causation_id: CausationId,
    pub traceparent: Option<Arc<str>>,
    /// Answer when the process managers are done with what the stream's events have led to by then. Nodes
    /// of earlier releases do not know of it and answer at once.
    #[serde(default)]
    pub awaits_reactions: bool,
    /// What processes tell another stream of before such an answer: there has to be room in the shard of
    /// that one, too. The node that is asked first sees to it.
    #[serde(skip)]
    pub told: Option<StreamId>,
}

impl Submission {
    /// Of a command that is the whole request.
    #[must_use]
    pub fn new(addressed: Addressed, command_id: CommandId, actor: Arc<str>) -> Self {
        // A command is plain data, so it always has a text.
        let text = serde_json::to_vec(addressed.command()).unwrap_or_default();
        Self::of_request(addressed, command_id, actor, RequestHash::of(&[&text]))
    }

    /// By an actor that was asked by nobody, and whatever holds of the stream.
    #[must_use]
    pub fn of_request(
        addressed: Addressed,
        command_id: CommandId,
        actor: Arc<str>,
        request_hash: RequestHash,
    ) -> Self {
        let (stream, command) = addressed.into_parts();
        Self {
            stream,
            command,
            command_id,
            request_hash,
            precondition: Precondition::None,
            actor,
            correlation_id: CorrelationId::new(command_id.uuid()),
            causation_id: CausationId::new(command_id.uuid()),
            traceparent: None,
            awaits_reactions: false,
            told: None,
        }
    }

    #[must_use]
    pub const fn stream(&self) -> &StreamId {
        &self.stream
    }
}

/// What is asked of a shard's owner, be it this node or another one. It can be asked again.
#[derive(Clone, Debug)]
pub enum Ask {
    Submit(Arc<Submission>),
    /// All of one shard.
    Read {
        shard: ShardId,
        streams: Vec<StreamId>,
        consistency: Consistency,
    },
    Knows {
        shard: ShardId,
        command_id: CommandId,
    },
}

impl Ask {
    /// Whether the node runs a release that can read it.
    pub(super) fn is_known_to(&self, peer: &Member) -> bool {
        match self {
            Self::Submit(submission) => {
                peer.commands == *capabilities()
                    || peer.commands.is_superset(&submission.command.needs())
            }
            Self::Read { .. } | Self::Knows { .. } => true,
        }
    }

    /// What metrics call it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Submit(_) => "submit",
            Self::Read { .. } => "read",
            Self::Knows { .. } => "knows",
        }
    }

    /// The stream of a command that is answered when the process managers are done with what came of it.
    pub(super) fn awaits_reactions(&self) -> Option<&StreamId> {
        match self {
            Self::Submit(submission) => submission.awaits_reactions.then_some(&submission.stream),
            Self::Read { .. } | Self::Knows { .. } => None,
        }
    }

    /// One that asks for five hundred streams at once is as much work as many that ask for one.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Submit(_) | Self::Knows { .. } => 1,
            Self::Read { streams, .. } => streams.len(),
        }
    }
}

/// What became of a command, and how far a reader must be to see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub outcome: Outcome,
    /// The outcome was decided by an earlier request with the same command id.
    pub replayed: bool,
    pub position: Position,
}

/// What an [`Ask`] is answered with, each by its own kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answered {
    Submitted(Answer),
    Shown(Shown),
    Known(bool),
}

/// What a read shows of one shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// In the order asked.
    pub snapshots: Vec<Snapshot>,
    /// How far they reach.
    pub at: Position,
}

/// A stream's state at a revision: of any aggregate, or of a certain one. Clones share the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot<S = State> {
    pub state: S,
    pub revision: Revision,
}

impl Snapshot {
    /// As that of a certain aggregate; `None` if it is another's.
    #[must_use]
    pub fn of<A: Listed>(&self) -> Option<Snapshot<Arc<A>>> {
        let state = Arc::clone(A::of(&self.state)?);
        Some(Snapshot { state, revision: self.revision })
    }
}

/// How new the states have to be that a read shows. Confirmed by the log they are always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// All that anybody was told before the read began. Costs a round through the log.
    Linearizable,
    /// Some moment of the past; at once.
    Serializable,
}

/// Why there is no answer, by what the caller can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// As [`SubmitError::Unknown`], for one who asked while the same request was under way already.
    #[error("the same request is still under way; retry with the same command id")]
    UnderWay,
    /// It is decided, but what it has led to is awaited where the shard is served by now.
    #[error("the shard is served elsewhere by now; retry there with the same command id")]
    HandedOver,
    /// Or the store's entry of it, or of what became of the command, cannot be decoded.
    #[error("the stream holds an event that this release cannot read")]
    StreamUnreadable,
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The shard's owner runs a release that does not know the command, so it was not sent.
    #[error("the node that serves this shard does not know this command yet; try again")]
    OwnerOutdated,
    #[error("the command is larger than nodes take from each other")]
    TooLarge,
    /// The shard's owner does not take what this node sends: asking again would not help.
    #[error("the node that serves this shard does not take the command")]
    NotTaken,
}

impl SubmitError {
    /// Nothing came of the command, and trying again would give the same answer.
    pub(crate) const fn is_final(self) -> bool {
        match self {
            Self::KeyReused | Self::StreamUnreadable | Self::TooLarge | Self::NotTaken => true,
            Self::Busy
            | Self::NotOwner
            | Self::Unknown
            | Self::UnderWay
            | Self::HandedOver
            | Self::OwnerOutdated
            | Self::ShuttingDown => false,
        }
    }

    /// What holds of a command that an earlier try may have brought to somebody: that this try
    /// came to nothing says nothing of that one.
    pub(super) fn after(self, maybe_reached: bool) -> Self {
        if maybe_reached && self != Self::KeyReused { Self::Unknown } else { self }
    }
}

/// Why nothing is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("no node serves this shard at the moment; try again")]
    NotServed,
    #[error("too much is waiting; try again")]
    Busy,
    #[error("the node is shutting down")]
    ShuttingDown,
    #[error("the stream holds an event that this release cannot read")]
    StreamUnreadable,
    /// Which only somebody else's writer could have caused.
    #[error("the stream holds something else")]
    WrongStream,
    #[error("the question is larger than nodes take from each other")]
    TooLarge,
    /// Asking again would not help.
    #[error("the node that serves this shard does not take the question")]
    NotTaken,
}

impl ReadError {
    pub(crate) const fn is_final(self) -> bool {
        match self {
            Self::StreamUnreadable | Self::WrongStream | Self::TooLarge | Self::NotTaken => true,
            Self::NotServed | Self::Busy | Self::ShuttingDown => false,
        }
    }
}

impl From<SubmitError> for ReadError {
    fn from(error: SubmitError) -> Self {
        match error {
            // A question that was not answered has left nothing behind.
            SubmitError::NotOwner
            | SubmitError::Unknown
            | SubmitError::UnderWay
            | SubmitError::HandedOver
            | SubmitError::KeyReused => Self::NotServed,
            SubmitError::Busy => Self::Busy,
            SubmitError::ShuttingDown => Self::ShuttingDown,
            SubmitError::StreamUnreadable => Self::StreamUnreadable,
            SubmitError::TooLarge => Self::TooLarge,
            SubmitError::OwnerOutdated | SubmitError::NotTaken => Self::NotTaken,
        }
    }
}

/// What a read of several streams has found.
#[derive(Debug, Default)]
pub struct Found(pub(super) BTreeMap<StreamId, Snapshot>);

impl Found {
    /// # Errors
    /// [`ReadError::WrongStream`], or it was not asked for.
    pub fn get<A: Listed>(&self, id: &A::Id) -> Result<Snapshot<Arc<A>>, ReadError> {
        let snapshot = self.0.get(&StreamId::of::<A>(id)).ok_or(ReadError::NotServed)?;
        snapshot.of().ok_or(ReadError::WrongStream)
    }

    /// Whether all that a command asks for is so already.
    #[must_use]
    pub fn is_settled(&self, addressed: &Addressed, now: Timestamp) -> bool {
        let found = self.0.get(addressed.stream());
        let decided = found.map(|found| found.state.decide(addressed.command(), now));
        matches!(decided, Some(Ok(events)) if events.is_empty())
    }

    #[must_use]
    pub fn has(&self, stream: &StreamId) -> bool {
        self.0.contains_key(stream)
    }

    /// With what a further read has found.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }
}
