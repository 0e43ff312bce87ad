//! Reads a shard's log, decodes each commit once and hands it to all projections that keep up.
//!
//! A projection that does not take a delivery in time is left behind: it reads on by itself, and comes
//! back when it has caught up (`subscription`). So a slow projection costs the others one short wait.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::log::{Offset, ReadError, follow::Follower};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};

use super::{commit::Commit, log_end::LogEnd};

/// Records that are read and decoded at once.
pub(super) const RECORDS_MAX: usize = 1_000;
/// Deliveries that wait for a projection; then the dispatcher waits, for a while.
pub(super) const DELIVERIES_MAX: usize = 4;
/// How long one projection may hold up others that have room.
const HOLD_UP_MAX: Duration = Duration::from_millis(250);
/// Projections that ask for deliveries at once; more of them ask again later.
pub(super) const JOINS_MAX: usize = 16;

/// Commits in the order of the log, shared by all who take them.
pub(super) type Delivery = Arc<[Commit]>;
/// Where the dispatcher puts the deliveries of a projection.
pub(super) type Inbox = mpsc::Sender<Delivery>;

/// A projection asks for deliveries.
pub(super) struct Join {
    pub inbox: Inbox,
    /// Gets the offset at which deliveries begin; the projection reads by itself up to there.
    pub from: oneshot::Sender<Offset>,
}

/// Reads for all projections that keep up.
pub(super) struct Dispatcher {
    pub follower: Follower,
    pub log_end: Arc<LogEnd>,
    pub inboxes: Vec<Inbox>,
    pub joins: mpsc::Receiver<Join>,
}

impl Dispatcher {
    /// Hands out until the log cannot be read.
    pub(super) async fn run(mut self) -> ReadError {
        loop {
            let read = tokio::select! {
                read = self.follower.next(RECORDS_MAX) => read,
                Some(join) = self.joins.recv() => {
                    self.join(join);
                    continue;
                }
            };
            let commits = match read {
                Ok(commits) => commits,
                Err(error) => return error,
            };
            let checkpoint = self.follower.checkpoint();
            self.log_end.has_read(self.follower.next_offset(), checkpoint.next_offset);
            if commits.is_empty() {
                continue;
            }
            let decode = |commit| Commit::decode(checkpoint.log_id, commit);
            let delivery: Delivery = commits.iter().map(decode).collect();
            self.deliver(&delivery).await;
        }
    }

    fn join(&mut self, Join { inbox, from }: Join) {
        // Everything before it has been handed out, and everything from it on will be.
        if from.send(self.follower.checkpoint().next_offset).is_ok() {
            self.inboxes.push(inbox);
        }
    }

    async fn deliver(&mut self, delivery: &Delivery) {
        let mut full = Vec::new();
        self.inboxes.retain(|inbox| match inbox.try_send(Arc::clone(delivery)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                full.push(inbox.clone());
                false
            }
            // It belongs to a projection that has ended; its end says why.
            Err(TrySendError::Closed(_)) => false,
        });
        if !full.is_empty() {
            self.hold(full, delivery).await;
        }
    }

    /// Waits until one projection has taken the delivery, however long, and then a little for the
    /// others. Projections that are late find their inboxes closed.
    async fn hold(&mut self, full: Vec<Inbox>, delivery: &Delivery) {
        let sent = full.into_iter().map(|inbox| {
            let delivery = Arc::clone(delivery);
            async move { inbox.send(delivery).await.is_ok().then_some(inbox) }
        });
        let mut sent: FuturesUnordered<_> = sent.collect();
        let inboxes = &mut self.inboxes;
        while inboxes.is_empty() {
            let Some(inbox) = sent.next().await else { return };
            inboxes.extend(inbox);
        }
        let others = async {
            while let Some(inbox) = sent.next().await {
                inboxes.extend(inbox);
            }
        };
        timeout(HOLD_UP_MAX, others).await.ok();
    }
}
