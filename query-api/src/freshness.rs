//! Reads that see what their client wrote.
//!
//! A client that sends `Tradewind-Position` gets an answer that reflects at least that position, or
//! learns that it is not there yet. What is applied is kept in memory (`applied`), told by the
//! projectors' notifications (`feed`); a request compares and, if it must, waits for it to change.
//!
//! **Invariant:** a position counts as applied here only after the transaction that applied it has
//! committed. A read that begins afterwards sees it, so an answer may carry the position that was
//! known before its read began. Positions that are known while PostgreSQL is away stay true.

mod applied;
mod feed;

use std::sync::Arc;

use infra::{
    http::{
        headers::{AtLeast, POSITION, PreferWait},
        problem::Problem,
    },
    position::Position,
    telemetry::emit,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

pub(crate) use applied::{Applied, Projection};
pub(crate) use feed::Feed;

use crate::metrics::Waited;
use applied::{Coverage, UnknownLog};

/// Requests that wait at once. More of them are told to come back.
const WAITERS_MAX: usize = 1024;

/// What requests ask. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Freshness {
    applied: watch::Receiver<Applied>,
    waiters: Arc<Semaphore>,
}

impl Freshness {
    pub(crate) fn new(applied: watch::Receiver<Applied>) -> Self {
        Self { applied, waiters: Arc::new(Semaphore::new(WAITERS_MAX)) }
    }

    /// Waits until these projections have applied what the client wants to see. The answer is a
    /// position that a read which begins now reflects.
    ///
    /// # Errors
    /// 400 if the wanted position is of another log, 503 if it is not reached in time.
    pub(crate) async fn reach(
        &self,
        projections: &[Projection],
        wanted: &AtLeast,
        patience: PreferWait,
    ) -> Result<Position, Problem> {
        let AtLeast(wanted) = wanted;
        if !wanted.is_empty() && self.coverage(projections, wanted)? == Coverage::Behind {
            self.wait(projections, wanted, patience).await?;
        }
        Ok(self.position(projections))
    }

    /// The position that all of these projections have applied.
    pub(crate) fn position(&self, projections: &[Projection]) -> Position {
        self.applied.borrow().position(projections)
    }

    fn coverage(
        &self,
        projections: &[Projection],
        wanted: &Position,
    ) -> Result<Coverage, UnknownLog> {
        self.applied.borrow().coverage(projections, wanted)
    }

    async fn wait(
        &self,
        projections: &[Projection],
        wanted: &Position,
        PreferWait(patience): PreferWait,
    ) -> Result<(), Problem> {
        let stale = || Problem::stale().header(POSITION, self.position(projections).header_value());
        let Ok(_place) = self.waiters.try_acquire() else { return Err(stale()) };
        let started = Instant::now();
        let mut applied = self.applied.clone();
        let settled =
            |applied: &Applied| applied.coverage(projections, wanted) != Ok(Coverage::Behind);
        // It also ends, unreached, when nobody tells positions any more: then we shut down.
        let reached = timeout(patience, applied.wait_for(settled)).await.is_ok_and(|it| it.is_ok());
        emit(Waited { reached, elapsed: started.elapsed() });
        match self.coverage(projections, wanted)? {
            Coverage::Reached => Ok(()),
            Coverage::Behind => Err(stale()),
        }
    }
}

impl From<UnknownLog> for Problem {
    fn from(unknown: UnknownLog) -> Self {
        Self::bad_request("unknown_log", unknown.to_string())
    }
}

#[cfg(test)]
mod tests;
