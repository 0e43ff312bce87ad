//! What the shard is asked: handed to its machine, or shown at once.

use std::sync::{Arc, atomic::AtomicBool};

use domain::id::{CommandId, StreamId};
use tokio::sync::oneshot;

use super::{
    super::{
        Answer, Consistency, Shown, Submission, SubmitError,
        effect::{Effect, Input, RequestId},
        listener::{Listener, Listening},
    },
    BURST_MAX, Shard,
};

pub(in super::super) enum Request {
    Submit { submission: Arc<Submission>, reply: SubmitReply },
    Read { streams: Vec<StreamId>, consistency: Consistency, reply: ReadReply },
    Knows { command_id: CommandId, reply: oneshot::Sender<Result<bool, SubmitError>> },
    Listen { commits_max: usize, reply: oneshot::Sender<Listening> },
}

impl Request {
    pub(super) fn refuse(self, error: SubmitError) {
        // A caller that went away needs no answer.
        match self {
            Self::Submit { reply, .. } => drop(reply.sender.send(Err(error))),
            Self::Read { reply, .. } => drop(reply.send(Err(error))),
            Self::Knows { reply, .. } => drop(reply.send(Err(error))),
            Self::Listen { reply, .. } => drop(reply),
        }
    }
}

/// The way back to who submitted a command.
pub(in super::super) struct SubmitReply {
    pub(in super::super) sender: oneshot::Sender<Result<Answer, SubmitError>>,
    /// Set when it waits for the answer of an earlier one.
    pub(in super::super) joined: Arc<AtomicBool>,
}

pub(super) type ReadReply = oneshot::Sender<Result<Shown, SubmitError>>;

impl Shard {
    pub(super) fn take_requests(&mut self, first: Request, effects: &mut Vec<Effect>) {
        let now = self.clock.now();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(request) = next {
            match request {
                Request::Submit { submission, reply } => {
                    let request = self.next_request();
                    self.replies.insert(request, reply);
                    self.machine.step(Input::Submitted { request, submission, now }, effects);
                }
                Request::Read { streams, consistency: Consistency::Serializable, reply }
                    if self.machine.is_serving() =>
                {
                    self.show(&streams, reply);
                }
                Request::Read { streams, reply, .. } => {
                    let request = self.next_request();
                    self.reads.insert(request, (streams, reply));
                    self.machine.step(Input::Asked { request, now }, effects);
                }
                Request::Knows { command_id, reply } => {
                    // A caller that went away needs no answer.
                    reply.send(self.machine.knows(command_id, now)).ok();
                }
                Request::Listen { commits_max, reply } if self.machine.is_serving() => {
                    let (listener, listening) =
                        Listener::new(self.machine.checkpoint(), commits_max);
                    // A follower that went away is found out with the next commit.
                    reply.send(listening).ok();
                    self.hear(Some(listener));
                }
                // Who does not serve the shard is no place to listen at.
                Request::Listen { reply, .. } => drop(reply),
            }
            taken += 1;
            next = if taken < BURST_MAX { self.requests.try_recv().ok() } else { None };
        }
    }

    pub(super) fn hear(&mut self, listener: Option<Listener>) {
        self.machine.tell_commits(listener.is_some());
        self.listener = listener;
    }

    fn next_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    pub(super) fn show(&mut self, streams: &[StreamId], reply: ReadReply) {
        let snapshots = streams.iter().map(|stream| self.machine.snapshot(stream));
        let snapshots = snapshots.collect::<Result<_, _>>();
        let shown = snapshots.map(|snapshots| Shown { snapshots, at: self.machine.position() });
        // A caller that went away needs no answer.
        reply.send(shown).ok();
    }
}
