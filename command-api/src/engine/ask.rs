//! Asking a shard: at this node, or at the one that owns it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::shard::ShardId;
use infra::{
    membership::{Member, View},
    retry::Policy,
    telemetry::emit,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{
    Answered, Ask, Engine, SubmitError,
    events::Forwarded,
    forward::{PeerError, left},
    shard,
};

/// How often a shard's owner is asked again that did not answer or had not claimed yet.
pub(super) const OWNER_SOUGHT: Policy = Policy {
    tries_max: None,
    wait_min: Duration::from_millis(5),
    wait_max: Duration::from_millis(100),
};

impl Engine {
    /// Whatever another node asks of this one.
    ///
    /// # Errors
    /// As [`Engine::ask_here`]; [`SubmitError::Busy`] as for a client.
    pub async fn answer(&self, ask: Ask, wait: Duration) -> Result<Answered, SubmitError> {
        let wanted = BTreeMap::from([self.wanted(&ask)]);
        let awaits = ask.awaits_reactions().is_some();
        let _place = self.admission.enter(&wanted, awaits).await?;
        self.ask_here(ask, Instant::now() + wait).await
    }

    /// The shard that is asked, and for how much.
    pub(super) fn wanted(&self, ask: &Ask) -> (ShardId, usize) {
        (self.shard_asked(ask), ask.weight())
    }

    /// Asks without asking another node.
    ///
    /// # Errors
    /// When there is no answer; [`SubmitError::NotOwner`] if the shard is not served here.
    pub async fn ask_here(&self, ask: Ask, deadline: Instant) -> Result<Answered, SubmitError> {
        let (sender, answer) = oneshot::channel();
        let joined = Arc::<AtomicBool>::default();
        let handle = self.handle(self.shard_asked(&ask));
        let leaves_a_trace = matches!(ask, Ask::Submit(_));
        let awaited = ask.awaits_reactions().cloned();
        let reply = shard::Reply { sender, joined: Arc::clone(&joined) };
        handle.requests.try_send(shard::Request::Ask { ask, reply }).map_err(refused)?;
        let answered = match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) | Err(_) if !leaves_a_trace => return Err(SubmitError::NotOwner),
            Err(_elapsed) if joined.load(Ordering::Relaxed) => return Err(SubmitError::UnderWay),
            Ok(Err(_)) | Err(_) => return Err(SubmitError::Unknown),
        };
        if let (Some(stream), Answered::Submitted(answer)) = (awaited, &answered) {
            self.reacted(&stream, answer, deadline).await?;
        }
        Ok(answered)
    }

    fn shard_asked(&self, ask: &Ask) -> ShardId {
        match ask {
            Ask::Submit(submission) => self.shard_of(&submission.stream),
            Ask::Read { shard, .. } | Ask::Knows { shard, .. } => *shard,
        }
    }

    /// Asks the owner of a shard, whoever that is by then, until there is an answer: this node
    /// (`None`) or another one.
    pub(super) async fn ask_owner(
        &self,
        ask: &Ask,
        deadline: Instant,
    ) -> Result<Answered, SubmitError> {
        let (shard, mut maybe_reached) = (self.shard_asked(ask), false);
        // Mostly this node owns the shard, and needs to know no more.
        if self.owns(shard) {
            match self.ask_here(ask.clone(), deadline).await {
                Err(SubmitError::NotOwner) => {}
                Err(SubmitError::HandedOver) => maybe_reached = true,
                answered => return answered,
            }
        }
        let mut view = self.cluster.view.clone();
        let mut waits = OWNER_SOUGHT.waits();
        loop {
            let owner = view.borrow_and_update().owner(shard).cloned();
            let asked = match &owner {
                None => Err(SubmitError::NotOwner.into()),
                Some(owner) if self.is_this(owner) => {
                    self.ask_here(ask.clone(), deadline).await.map_err(PeerError::from)
                }
                Some(owner) if !ask.is_known_to(owner) => Err(SubmitError::OwnerOutdated.into()),
                Some(owner) => tokio::select! {
                    asked = self.cluster.peers.ask(owner, ask, left(deadline)) => {
                        let result = match &asked {
                            Ok(_) => "answered",
                            Err(PeerError::Refused(_)) => "refused",
                            Err(PeerError::Unreachable(_)) => "unreachable",
                        };
                        emit(Forwarded { question: ask.name(), result });
                        asked
                    }
                    // It was stopped or cut off, and the shard has gone to another one.
                    () = until_moved(view.clone(), shard, owner) => {
                        emit(Forwarded { question: ask.name(), result: "moved" });
                        maybe_reached = true;
                        continue;
                    }
                },
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(PeerError::Refused(SubmitError::NotOwner)) => {}
                Err(PeerError::Refused(SubmitError::HandedOver)) => maybe_reached = true,
                Err(PeerError::Refused(SubmitError::ShuttingDown))
                    if owner.is_some_and(|owner| !self.is_this(&owner)) => {}
                Err(PeerError::Refused(error)) => return Err(error.after(maybe_reached)),
                Err(PeerError::Unreachable(error)) => {
                    tracing::debug!(%shard, %error, "the owner of shard {shard} does not answer");
                    maybe_reached = true;
                }
            }
            let wait = tokio::time::sleep(waits.next_wait().unwrap_or_default());
            tokio::select! {
                Ok(()) = view.changed() => {}
                () = wait => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            if Instant::now() >= deadline {
                return Err(SubmitError::NotOwner.after(maybe_reached));
            }
        }
    }
}

/// Waits until another node should own the shard.
async fn until_moved(mut view: watch::Receiver<View>, shard: ShardId, from: &Member) {
    let moved = |view: &View| view.owner(shard).is_some_and(|owner| owner.node != from.node);
    let closed = view.wait_for(moved).await.is_err();
    if closed {
        std::future::pending::<()>().await;
    }
}

fn refused<T>(error: mpsc::error::TrySendError<T>) -> SubmitError {
    match error {
        mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
        mpsc::error::TrySendError::Closed(_) => SubmitError::ShuttingDown,
    }
}
