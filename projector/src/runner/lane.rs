//! Where an applier takes commits from: the shard's feed, or the log itself while it is behind.
//!
//! **Invariant:** no commit is passed over on the way from one to the other. An applier that falls off
//! the feed opens the log at its own checkpoint. One that comes back is told from where on it is fed,
//! and reads by itself up to there; what comes twice it knows by its checkpoint.

use infra::log::{Offset, ReadError, follow::Follower};
use tokio::sync::{
    mpsc,
    oneshot::{self, error::TryRecvError},
};

use super::{
    commit::Commit,
    feed::{DELIVERIES_MAX, Delivery, Join, RECORDS_MAX},
};

/// Records that a projection may be behind when it asks to be fed.
const BEHIND_MAX: Offset = 1_000;

pub(super) enum Lane {
    Fed(mpsc::Receiver<Delivery>),
    /// Reads by itself.
    Alone(Box<Follower>),
    /// Reads by itself, and has asked to be fed.
    Asking(Box<Follower>, mpsc::Receiver<Delivery>, oneshot::Receiver<Offset>),
    /// Reads by itself up to the offset, where the feed takes over.
    Joining(Box<Follower>, mpsc::Receiver<Delivery>, Offset),
    /// Has to open the log at its checkpoint first.
    Off,
}

impl Lane {
    /// The lane of one that stands at `next_offset`, while the feed has come to `feed_at`. It never
    /// waits for the feed, which may be waiting for others.
    pub(super) fn onward(
        self,
        next_offset: Offset,
        feed_at: Offset,
        joins: &mpsc::Sender<Join>,
    ) -> Self {
        match self {
            Self::Alone(follower) if next_offset.saturating_add(BEHIND_MAX) >= feed_at => {
                let (inbox, fed) = mpsc::channel(DELIVERIES_MAX);
                let (from, begins) = oneshot::channel();
                match joins.try_send(Join { inbox, from }) {
                    Ok(()) => Self::Asking(follower, fed, begins),
                    Err(_) => Self::Alone(follower),
                }
            }
            Self::Asking(follower, fed, mut begins) => match begins.try_recv() {
                Ok(from) => Self::Joining(follower, fed, from).onward(next_offset, feed_at, joins),
                Err(TryRecvError::Empty) => Self::Asking(follower, fed, begins),
                Err(TryRecvError::Closed) => Self::Alone(follower),
            },
            Self::Joining(_, fed, from) if next_offset >= from => Self::Fed(fed),
            lane => lane,
        }
    }
}

/// What a projection that reads by itself finds next; nothing after a while at the log's end.
///
/// # Errors
/// The log cannot be read.
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

    async fn alone() -> Lane {
        let follower = Follower::open(&MemoryLog::new(1), ShardId::new(0), None).await;
        Lane::Alone(Box::new(follower.expect("a shard")))
    }

    #[tokio::test]
    async fn who_is_far_behind_reads_alone_and_who_is_near_asks_to_be_fed() {
        let (joins, mut asked) = mpsc::channel(1);
        let lane = alone().await.onward(0, BEHIND_MAX + 1, &joins);
        assert!(matches!(lane, Lane::Alone(_)));
        let lane = lane.onward(1, BEHIND_MAX + 1, &joins);
        assert!(matches!(lane, Lane::Asking(..)));
        let join = asked.recv().await.expect("a question");
        let lane = lane.onward(1, BEHIND_MAX + 1, &joins);
        assert!(matches!(lane, Lane::Asking(..)), "without an answer it reads on by itself");
        join.from.send(7).expect("somebody who asked");
        let lane = lane.onward(6, BEHIND_MAX + 1, &joins);
        assert!(
            matches!(lane, Lane::Joining(.., 7)),
            "what is before the first delivery is its own"
        );
        let Lane::Fed(mut fed) = lane.onward(7, BEHIND_MAX + 1, &joins) else { panic!("not fed") };
        join.inbox.send(Arc::from([])).await.expect("an inbox");
        assert!(fed.recv().await.is_some());
    }

    #[tokio::test]
    async fn without_a_feed_it_reads_alone() {
        let (joins, asked) = mpsc::channel(1);
        let lane = alone().await.onward(0, 0, &joins);
        drop(asked);
        let lane = lane.onward(0, 0, &joins);
        assert!(matches!(lane, Lane::Alone(_)));
        assert!(matches!(lane.onward(0, 0, &joins), Lane::Alone(_)));
    }
}
