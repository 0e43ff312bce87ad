//! The places for replays of one node, and why there is none, or no log.

use std::{error::Error, sync::Arc};

use infra::{http::problem::Problem, telemetry::emit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{ReplayRefused, ReplaysRun};

#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

/// One place; dropping it makes room.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    places: Places,
}

impl Places {
    pub(super) fn new(all: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(all)), all }
    }

    /// # Errors
    /// 503 if all are taken.
    pub(super) fn take(&self) -> Result<Slot, Problem> {
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            emit(ReplayRefused);
            let detail = "as many replays run here as may; try again when one has ended";
            return Err(Problem::unavailable("too_many_replays", detail));
        };
        self.tell(0);
        Ok(Slot { _permit: permit, places: self.clone() })
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
