//! Where an applier takes commits from: the shard's dispatcher, or the log itself while it is behind.
//!
//! **Invariant:** no commit is passed over on the way from one to the other. An applier that
//! the dispatcher leaves behind opens the log at its own checkpoint. When it has caught up, it learns
//! the offset at which deliveries begin and reads by itself up to there; it passes over commits that come
//! twice, by its checkpoint.

use infra::log::{Offset, ReadError, follow::Follower};
use tokio::sync::{
    mpsc,
    oneshot::{self, error::TryRecvError},
};

use super::{
    commit::Commit,
    dispatcher::{DELIVERIES_MAX, Delivery, Join, RECORDS_MAX},
};

/// Records that a projection may be behind when it asks for deliveries.
const BEHIND_MAX: Offset = 1_000;

pub(super) enum Subscription {
    Active(mpsc::Receiver<Delivery>),
    /// Reads by itself.
    CatchingUp(Box<Follower>),
    /// Reads by itself, and has asked for deliveries.
    Requested(Box<Follower>, mpsc::Receiver<Delivery>, oneshot::Receiver<Offset>),
    /// Reads by itself up to the offset, where the dispatcher takes over.
    Joining(Box<Follower>, mpsc::Receiver<Delivery>, Offset),
    /// Has to open the log at its checkpoint first.
    Closed,
}

impl Subscription {
    /// The next state for an applier that is at `next_offset`, when deliveries are at
    /// `live_at`. It never waits for the dispatcher, which may be waiting for others.
    pub(super) fn advance(
        self,
        next_offset: Offset,
        live_at: Offset,
        joins: &mpsc::Sender<Join>,
    ) -> Self {
        match self {
            Self::CatchingUp(follower) if next_offset.saturating_add(BEHIND_MAX) >= live_at => {
                let (inbox, deliveries) = mpsc::channel(DELIVERIES_MAX);
                let (from, begins) = oneshot::channel();
                match joins.try_send(Join { inbox, from }) {
                    Ok(()) => Self::Requested(follower, deliveries, begins),
                    Err(_) => Self::CatchingUp(follower),
                }
            }
            Self::Requested(follower, deliveries, mut begins) => match begins.try_recv() {
                Ok(from) => {
                    Self::Joining(follower, deliveries, from).advance(next_offset, live_at, joins)
                }
                Err(TryRecvError::Empty) => Self::Requested(follower, deliveries, begins),
                Err(TryRecvError::Closed) => Self::CatchingUp(follower),
            },
            Self::Joining(_, deliveries, from) if next_offset >= from => Self::Active(deliveries),
            current => current,
        }
    }
}

/// What a projection that reads by itself finds next; nothing after a while at the log's end.
pub(super) async fn read(follower: &mut Follower) -> Result<Delivery, ReadError> {
    let commits = follower.next(RECORDS_MAX).await?;
    let log_id = follower.checkpoint().log_id;
    Ok(commits.iter().map(|commit| Commit::decode(log_id, commit)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::shard::ShardId;
    use infra::log::memory::MemoryLog;

    use super::*;

    async fn alone() -> Subscription {
        let follower = Follower::open(&MemoryLog::new(1), ShardId::new(0), None).await;
        Subscription::CatchingUp(Box::new(follower.expect("a shard")))
    }

    #[tokio::test]
    async fn far_behind_it_reads_alone_and_near_it_asks_for_deliveries() {
        let (joins, mut asked) = mpsc::channel(1);
        let state = alone().await.advance(0, BEHIND_MAX + 1, &joins);
        assert!(matches!(state, Subscription::CatchingUp(_)));
        let state = state.advance(1, BEHIND_MAX + 1, &joins);
        assert!(matches!(state, Subscription::Requested(..)));
        let join = asked.recv().await.expect("a question");
        let state = state.advance(1, BEHIND_MAX + 1, &joins);
        assert!(
            matches!(state, Subscription::Requested(..)),
            "without an answer it reads on by itself"
        );
        join.from.send(7).expect("somebody who asked");
        let state = state.advance(6, BEHIND_MAX + 1, &joins);
        assert!(
            matches!(state, Subscription::Joining(.., 7)),
            "what is before the first delivery is its own"
        );
        let Subscription::Active(mut inbox) = state.advance(7, BEHIND_MAX + 1, &joins) else {
            panic!("not active")
        };
        join.inbox.send(Arc::from([])).await.expect("an inbox");
        assert!(inbox.recv().await.is_some());
    }

    #[tokio::test]
    async fn without_a_dispatcher_it_reads_alone() {
        let (joins, asked) = mpsc::channel(1);
        let state = alone().await.advance(0, 0, &joins);
        drop(asked);
        let state = state.advance(0, 0, &joins);
        assert!(matches!(state, Subscription::CatchingUp(_)));
        assert!(matches!(state.advance(0, 0, &joins), Subscription::CatchingUp(_)));
    }
}
