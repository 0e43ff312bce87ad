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
mod events;
mod feed;
mod looks;
mod places;
mod positions;

use std::sync::OnceLock;

use domain::id::StreamId;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

pub use applied::Applied;
pub use feed::{Feed, Reads};
pub use positions::{PositionRow, Projection, positions};

use crate::{
    auth::Client,
    http::{
        headers::{AtLeast, POSITION},
        problem::Problem,
    },
    position::{Entry, Position},
    telemetry::emit,
};
use applied::Coverage;
use events::Waited;
use looks::Impossible;
use places::Places;

/// What requests ask. Cheap to clone.
#[derive(Clone)]
pub struct Freshness {
    applied: watch::Receiver<Applied>,
    places: Places,
}

/// How far a projection is in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// All that was acknowledged before it is applied.
    pub as_of: Instant,
    /// And this; nothing before the first event.
    pub seen: Option<Entry>,
}

impl Freshness {
    /// Places to wait at are its own: who shall not take them from each other has another.
    #[must_use]
    pub fn new(applied: watch::Receiver<Applied>) -> Self {
        Self { applied, places: Places::default() }
    }

    /// Waits until these projections have applied what the client wants to see. The answer is a
    /// position that a read which begins now reflects.
    ///
    /// # Errors
    /// 400 if the wanted position cannot be, 503 if it is not reached in time.
    pub async fn reach(
        &self,
        projections: &[Projection],
        wanted: &AtLeast,
        until: Instant,
        client: Client,
    ) -> Result<Position, Problem> {
        let AtLeast(wanted) = wanted;
        let behind =
            |applied: &Applied| coverage(applied, projections, wanted) == Ok(Coverage::Behind);
        if !wanted.is_empty() {
            self.wait(client, until, |applied| !behind(applied)).await;
            let reached = coverage(&self.applied.borrow(), projections, wanted)?;
            if reached == Coverage::Behind {
                let position = self.position(projections).header_value();
                return Err(Problem::stale().header(POSITION, position));
            }
        }
        Ok(self.position(projections))
    }

    /// Waits until a projection has applied what a client has seen of a stream's shard, and is known to
    /// be level with it as of a moment that is recent enough; tells how far it is then. A position that
    /// cannot be is not waited for: whoever may come in will be told.
    pub async fn stand(
        &self,
        projection: Projection,
        stream: &StreamId,
        seen: &Position,
        is_recent: impl Fn(Instant) -> bool,
        client: Client,
        until: Instant,
    ) -> Option<Stand> {
        let seen_in_shard = OnceLock::new();
        let stand = |applied: &Applied| {
            let shard = applied.looks.shard_of(stream)?;
            // Once, for a position may be long, and this is asked at each change.
            let seen = seen_in_shard.get_or_init(|| seen.in_shard(shard));
            let as_of = applied.looks.level_at(projection, shard).filter(|at| is_recent(*at))?;
            let behind = coverage(applied, &[projection], seen) == Ok(Coverage::Behind);
            let seen = applied.entry(projection, shard);
            (!behind).then_some(Stand { as_of, seen })
        };
        self.wait(client, until, |applied| stand(applied).is_some()).await;
        stand(&self.applied.borrow())
    }

    /// Refuses a position that cannot be, where nothing is to be waited for.
    ///
    /// # Errors
    /// 400.
    pub fn admit(
        &self,
        projections: &[Projection],
        AtLeast(wanted): &AtLeast,
    ) -> Result<(), Problem> {
        coverage(&self.applied.borrow(), projections, wanted)?;
        Ok(())
    }

    /// The position that all of these projections have applied.
    #[must_use]
    pub fn position(&self, projections: &[Projection]) -> Position {
        self.applied.borrow().position(projections)
    }

    /// Waits until it is settled, unless there is no place to wait or it takes too long.
    async fn wait(&self, client: Client, until: Instant, settled: impl Fn(&Applied) -> bool) {
        if settled(&self.applied.borrow()) {
            return;
        }
        let Some(_place) = self.places.enter(client) else { return };
        let started = Instant::now();
        let mut applied = self.applied.clone();
        // It also ends, unreached, when nobody tells positions any more: then we shut down.
        let waited = timeout_at(until, applied.wait_for(settled)).await;
        let reached = waited.is_ok_and(|it| it.is_ok());
        emit(Waited { reached, elapsed: started.elapsed() });
    }
}

fn coverage(
    applied: &Applied,
    projections: &[Projection],
    wanted: &Position,
) -> Result<Coverage, Impossible> {
    applied.coverage(projections, wanted, Instant::now())
}

#[cfg(test)]
mod tests;
