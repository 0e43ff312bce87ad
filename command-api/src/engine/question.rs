//! What a shard is asked, and what it answers.

use std::sync::Arc;

use domain::{
    capability::capabilities,
    id::{CommandId, StreamId},
    shard::ShardId,
};
use infra::membership::Member;
use serde::Serialize;

use super::request::{Answer, Consistency, Shown, Submission};

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

/// What an [`Ask`] is answered with, each by its own kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answered {
    Submitted(Answer),
    Shown(Shown),
    Known(bool),
}
