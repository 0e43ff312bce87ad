//! Carries one projection through one shard, batch by batch.
//!
//! A batch is what has arrived, up to a bound: a lone event becomes visible at once. Under load batches
//! grow by themselves: after it has written a batch, an applier gathers the next one for a multiple of
//! the time that this took. So a busy machine, where transactions are slow, gets fewer and larger ones.
//! `write` takes it from there.
//!
//! **Invariant:** a projection that fails holds up no other. While it cannot go on it takes no delivery,
//! and the dispatcher leaves it behind.

use std::time::Duration;

use infra::{
    log::follow::Follower,
    retry::Waits,
    shutdown::Shutdown,
    telemetry::{chain, emit},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    RETRY,
    batch::wanted,
    commit::Commit,
    dispatcher::{Delivery, Join},
    subscription::{self, Subscription},
    write::{Failed, Writer},
};
use crate::{checkpoint::CheckpointRow, metrics::ReadFailed};

/// Events of one batch; what has arrived beyond them makes the next one.
const BATCH_EVENTS_MAX: usize = 5_000;
/// How long commits without an event for this projection may wait for company. Every commit moves
/// every checkpoint, and most commits concern few projections.
const QUIET_WAIT_MAX: Duration = Duration::from_millis(20);
/// How long events wait for company, in times of what the last batch took to write.
const COMPANY_WAIT: u32 = 3;
/// At most.
const COMPANY_WAIT_MAX: Duration = Duration::from_millis(25);

pub(super) struct Applier {
    pub writer: Writer,
    pub subscription: Subscription,
    /// Where to ask for deliveries after reading alone.
    pub joins: mpsc::Sender<Join>,
    pub stop: Shutdown,
    /// Between tries to read alone.
    pub waits: Waits,
    /// Until when the next batch gathers.
    pub gathers_until: Instant,
}

/// How an applier ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it was asked to.
    Stopped,
    /// Somebody else moved the checkpoint.
    Lost,
    /// It cannot go on, and says so, until somebody says that it may.
    Halted(CheckpointRow),
}

impl Applier {
    pub(super) async fn run(mut self) -> Ended {
        self.writer.resume().await;
        let stop = self.stop.clone();
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.requested() => return Ended::Stopped,
                deliveries = self.gather() => deliveries,
            };
            let commits = self.ahead(&deliveries);
            let began = Instant::now();
            let Err(failed) = self.writer.apply(&commits).await else {
                let wait = (began.elapsed() * COMPANY_WAIT).min(COMPANY_WAIT_MAX);
                self.gathers_until = Instant::now() + wait;
                continue;
            };
            let reason = match failed {
                Failed::Stopped => return Ended::Stopped,
                Failed::Lost => return Ended::Lost,
                Failed::Full(reason) => {
                    self.writer.halt(&reason).await;
                    if let Some(ended) = self.wait_for_room().await {
                        return ended;
                    }
                    self.writer.resume().await;
                    continue;
                }
                Failed::Unfit | Failed::TooMuch | Failed::WipedOut => {
                    "the batch does not apply".to_owned()
                }
                Failed::Stuck(reason) => reason,
                Failed::Database(error) => chain(&error).to_string(),
            };
            self.writer.halt(&reason).await;
            return Ended::Halted(self.writer.row);
        }
    }

    /// Waits for commits and takes what is there. It may be nothing.
    async fn gather(&mut self) -> Vec<Delivery> {
        let next_offset = self.writer.next_offset();
        let live_at = self.writer.log_end.committed();
        // What is left behind if this future is dropped is opened anew.
        let subscription = std::mem::replace(&mut self.subscription, Subscription::Closed);
        self.subscription = subscription.advance(next_offset, live_at, &self.joins);
        let read = match &mut self.subscription {
            Subscription::Active(_) => return self.gather_delivered().await,
            Subscription::CatchingUp(follower)
            | Subscription::Requested(follower, ..)
            | Subscription::Joining(follower, ..) => subscription::read(follower).await,
            Subscription::Closed => self.open().await.map(|()| Delivery::from([])),
        };
        match read {
            Ok(delivery) => {
                self.waits.reset();
                vec![delivery]
            }
            Err(error) => {
                // The dispatcher meets the same, and ends the shard if asking again does not help.
                emit(ReadFailed { shard: self.writer.row.shard, error: &error });
                self.subscription = Subscription::Closed;
                self.waits.wait().await;
                Vec::new()
            }
        }
    }

    async fn open(&mut self) -> Result<(), infra::log::ReadError> {
        let Writer { shared, row, checkpoint, .. } = &self.writer;
        let follower = Follower::open(&*shared.log, row.shard, Some(*checkpoint)).await?;
        self.subscription = Subscription::CatchingUp(Box::new(follower));
        Ok(())
    }

    async fn gather_delivered(&mut self) -> Vec<Delivery> {
        let projection = self.writer.projection;
        let events = |commits: &[Commit]| -> usize {
            commits.iter().map(|commit| wanted(commit, projection).count()).sum()
        };
        let Subscription::Active(inbox) = &mut self.subscription else { return Vec::new() };
        let Some(first) = inbox.recv().await else {
            // The dispatcher has left it behind.
            self.subscription = Subscription::Closed;
            return Vec::new();
        };
        let quiet_until = Instant::now() + QUIET_WAIT_MAX;
        let mut gathered = events(&first);
        let mut deliveries = vec![first];
        while gathered < BATCH_EVENTS_MAX {
            let next = match inbox.try_recv() {
                Ok(next) => next,
                Err(_) => {
                    let until = if gathered > 0 { self.gathers_until } else { quiet_until };
                    match timeout_at(until, inbox.recv()).await {
                        Ok(Some(next)) => next,
                        Ok(None) | Err(_) => break,
                    }
                }
            };
            gathered += events(&next);
            deliveries.push(next);
        }
        deliveries
    }

    /// The commits that the checkpoint does not cover yet.
    fn ahead<'d>(&self, deliveries: &'d [Delivery]) -> Vec<&'d Commit> {
        let next_offset = self.writer.next_offset();
        let ahead = |commit: &&Commit| commit.checkpoint.next_offset > next_offset;
        deliveries.iter().flat_map(|delivery| delivery.iter()).filter(ahead).collect()
    }

    /// Waits until an operator has settled some of what is parked.
    async fn wait_for_room(&mut self) -> Option<Ended> {
        self.subscription = Subscription::Closed;
        let mut waits = RETRY.waits();
        loop {
            tokio::select! {
                _ = waits.wait() => {}
                () = self.stop.requested() => return Some(Ended::Stopped),
            }
            let writer = &mut self.writer;
            match writer.row.read(&writer.shared.pool).await {
                Ok(stored) if stored.checkpoint != writer.checkpoint => return Some(Ended::Lost),
                Ok(stored) if stored.letters != writer.dead_letters.changes => {
                    if writer.reload(stored).await.is_ok() {
                        return None;
                    }
                }
                Err(sqlx::Error::RowNotFound) => return Some(Ended::Lost),
                // What keeps PostgreSQL from answering, batches of others tell.
                Ok(_) | Err(_) => {}
            }
        }
    }
}
