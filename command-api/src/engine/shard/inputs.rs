//! What the shard is told: reports of what it sent, and requests, which are handed to its machine or shown
//! what they ask for at once.

use std::sync::{Arc, atomic::AtomicBool};

use domain::{id::StreamId, timestamp::Timestamp};
use infra::{
    log::{Report, Ticket},
    telemetry::emit,
};
use tokio::sync::oneshot;

use super::{
    super::{
        Answered, Ask, Consistency, Shown, SubmitError,
        effect::{Effect, Input, RequestId},
        events::{OfShard, ShardEvent},
        listener::{Listener, Listening},
    },
    BURST_MAX, Shard,
    log::Writer,
};

pub(in super::super) enum Request {
    Ask { ask: Ask, reply: Reply },
    Listen { commits_max: usize, reply: oneshot::Sender<Listening> },
}

impl Request {
    pub(super) fn refuse(self, error: SubmitError) {
        match self {
            Self::Ask { reply, .. } => reply.send(Err(error)),
            Self::Listen { reply, .. } => drop(reply),
        }
    }
}

/// The way back to who asks.
pub(in super::super) struct Reply {
    pub(in super::super) sender: oneshot::Sender<Result<Answered, SubmitError>>,
    /// Set when it waits for the answer of an earlier one.
    pub(in super::super) joined: Arc<AtomicBool>,
}

impl Reply {
    pub(super) fn send(self, result: Result<Answered, SubmitError>) {
        // A caller that went away needs no answer.
        self.sender.send(result).ok();
    }
}

impl Shard {
    pub(super) fn take_reports(&mut self, first: Report, effects: &mut Vec<Effect>) {
        self.machine.step(Input::Heard { now: self.clock.now() }, effects);
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(report) = next {
            self.measure(report.ticket);
            self.machine.step(Input::Reported { report }, effects);
            taken += 1;
            let ready = |writer: &mut Writer| writer.reports.try_recv().ok();
            next = if taken < BURST_MAX { self.writer.as_mut().and_then(ready) } else { None };
        }
    }

    /// Reports come in the order of appending, so the oldest group ends first.
    fn measure(&mut self, reported: Ticket) {
        let Some(writer) = &mut self.writer else { return };
        if let Some((_, sent_at)) = writer.groups.pop_front_if(|(last, _)| *last == reported) {
            emit(OfShard(self.id, ShardEvent::GroupReported(sent_at.elapsed())));
        }
    }

    /// Takes what is there and, unless the next group gathers anyway, what others are about to ask who are
    /// ready to run: a group costs the broker and both clients as much for one record as for a few.
    pub(super) async fn gather(&mut self, first: Request, effects: &mut Vec<Effect>) {
        self.take_requests(first, effects);
        if self.machine.in_flight() == 0 {
            tokio::task::yield_now().await;
            if let Ok(next) = self.requests.try_recv() {
                self.take_requests(next, effects);
            }
        }
    }

    fn take_requests(&mut self, first: Request, effects: &mut Vec<Effect>) {
        let now = self.clock.now();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(request) = next {
            match request {
                Request::Ask { ask, reply } => self.take(ask, reply, now, effects),
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

    fn take(&mut self, ask: Ask, reply: Reply, now: Timestamp, effects: &mut Vec<Effect>) {
        match ask {
            Ask::Submit(submission) => {
                let request = self.next_request();
                self.replies.insert(request, reply);
                self.machine.step(Input::Submitted { request, submission, now }, effects);
            }
            Ask::Read { streams, consistency: Consistency::Serializable, .. }
                if self.machine.is_serving() =>
            {
                self.show(&streams, reply);
            }
            Ask::Read { streams, .. } => {
                let request = self.next_request();
                self.reads.insert(request, (streams, reply));
                self.machine.step(Input::Asked { request, now }, effects);
            }
            Ask::Knows { command_id, .. } => {
                reply.send(self.machine.knows(command_id, now).map(Answered::Known));
            }
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

    pub(super) fn show(&mut self, streams: &[StreamId], reply: Reply) {
        let snapshots = streams.iter().map(|stream| self.machine.snapshot(stream));
        let snapshots = snapshots.collect::<Result<_, _>>();
        let shown = snapshots.map(|snapshots| Shown { snapshots, at: self.machine.position() });
        reply.send(shown.map(Answered::Shown));
    }
}
