//! The places for replays of one node, and why there is none, or no log.

use std::{error::Error, sync::Arc};

use infra::{
    auth::Client,
    http::problem::Problem,
    shares::{Share, Shares},
    telemetry::emit,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{ReplayRefused, ReplaysRun};

#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
    /// Of one client.
    each: usize,
    shares: Shares<Client>,
}

/// One place; dropping it makes room.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    _share: Share<Client>,
    places: Places,
}

impl Places {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(all)), all, each, shares: Shares::default() }
    }

    /// # Errors
    /// 429 if this client has its share, 503 if all are taken.
    pub(super) fn take(&self, client: Client) -> Result<Slot, Problem> {
        let Some(share) = self.shares.take(client, self.each) else {
            emit(ReplayRefused);
            let detail = "as many of your replays run here as may; end one, or wait for it";
            return Err(Problem::too_many("too_many_of_your_replays", detail));
        };
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            emit(ReplayRefused);
            let detail = "as many replays run here as may; try again when one has ended";
            return Err(Problem::unavailable("too_many_replays", detail));
        };
        self.tell(0);
        Ok(Slot { _permit: permit, _share: share, places: self.clone() })
    }

    /// How many are taken, when so many of those have ended.
    fn tell(&self, ending: usize) {
        let free = self.free.available_permits() + ending;
        emit(ReplaysRun { running: self.all.saturating_sub(free) });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.places.tell(1);
    }
}

/// 503: the log cannot be read now.
pub(super) fn unreachable(error: impl Error + Send + Sync + 'static) -> Problem {
    let detail = "the event log cannot be reached now; go on from the last cursor later";
    Problem::unavailable("log_unavailable", detail).caused_by(error)
}
