//! Reads that see what their client wrote.
//!
//! A client that sends `Tradewind-Position` gets an answer that reflects at least that position, or
//! learns that it is not there yet. `watcher` keeps what is applied in memory (`applied`)
//! from the projectors' notifications; a request compares and, if it must, waits for it to change.
//!
//! **Invariant:** a position counts as applied here only after the transaction that applied it has
//! committed. A read that begins afterwards sees it, so an answer may carry the position that was
//! known before its read began. Positions that are known while PostgreSQL is away stay true.

mod applied;
mod events;
mod log_state;
mod positions;
mod watcher;

use std::sync::{Arc, OnceLock};

use domain::{id::StreamId, shard::ShardId};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout_at},
};

pub use applied::Applied;
pub use positions::{PositionRow, Projection, positions};
pub use watcher::{PositionWatcher, Reads};

use crate::{
    auth::Client,
    http::{
        headers::{AtLeast, POSITION},
        problem::Problem,
    },
    position::{Entry, Position},
    shares::{Share, Shares},
    telemetry::emit,
};
use applied::Coverage;
use events::Waited;
use log_state::Impossible;

/// Requests that wait at once. More of them are answered without waiting.
const PERMITS_MAX: usize = 1024;
/// Those of one client.
const PERMITS_OF_CLIENT_MAX: usize = 64;

/// Answers how fresh the read models are. Cheap to clone.
#[derive(Clone)]
pub struct Freshness {
    applied: watch::Receiver<Applied>,
    permits: WaitPermits,
}

/// Permits to wait. Each client has a share of them, so that a flood from one leaves some to the others.
#[derive(Clone)]
struct WaitPermits {
    all: Arc<Semaphore>,
    shares: Shares<Client>,
}

/// Held by a request while it waits; dropping it makes room.
struct WaitPermit {
    _permit: OwnedSemaphorePermit,
    _share: Share<Client>,
}

/// How far a projection is in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectionProgress {
    /// All that was acknowledged before it is applied.
    pub as_of: Instant,
    /// And this; nothing before the first event.
    pub seen: Option<Entry>,
}

impl Freshness {
    /// It has its own permits to wait: requests that must not take them from others use another one.
    #[must_use]
    pub fn new(applied: watch::Receiver<Applied>) -> Self {
        Self { applied, permits: WaitPermits::default() }
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
    /// be level with it as of a moment that is recent enough; returns how far it is then. It does not
    /// wait for a position that cannot be: a request that may come in is refused for it later.
    pub async fn progress(
        &self,
        projection: Projection,
        stream: &StreamId,
        seen: &Position,
        is_recent: impl Fn(Instant) -> bool,
        client: Client,
        until: Instant,
    ) -> Option<ProjectionProgress> {
        let seen_in_shard = OnceLock::new();
        let progress = |applied: &Applied| {
            let shard = applied.log.shard_of(stream)?;
            // Computed once, for a position may be long, and this runs at each change.
            let seen = seen_in_shard.get_or_init(|| seen.in_shard(shard));
            let as_of = applied.log.level_at(projection, shard).filter(|at| is_recent(*at))?;
            let behind = coverage(applied, &[projection], seen) == Ok(Coverage::Behind);
            let seen = applied.entry(projection, shard);
            (!behind).then_some(ProjectionProgress { as_of, seen })
        };
        self.wait(client, until, |applied| progress(applied).is_some()).await;
        progress(&self.applied.borrow())
    }

    /// Whether somebody keeps a projection that may be left off; `None` while nothing is known of any.
    #[must_use]
    pub fn is_kept(&self, projection: Projection) -> Option<bool> {
        self.applied.borrow().is_live(projection)
    }

    /// The shard of a stream, once it is known how many there are.
    #[must_use]
    pub fn shard_of(&self, stream: &StreamId) -> Option<ShardId> {
        self.applied.borrow().log.shard_of(stream)
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

    /// Waits until it is settled, unless no permit is left or it takes too long.
    async fn wait(&self, client: Client, until: Instant, settled: impl Fn(&Applied) -> bool) {
        if settled(&self.applied.borrow()) {
            return;
        }
        let Some(_permit) = self.permits.take(client) else { return };
        let started = Instant::now();
        let mut applied = self.applied.clone();
        // It also ends, unreached, when the watcher has ended: then we shut down.
        let waited = timeout_at(until, applied.wait_for(settled)).await;
        let reached = waited.is_ok_and(|it| it.is_ok());
        emit(Waited { reached, elapsed: started.elapsed() });
    }
}

impl Default for WaitPermits {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(PERMITS_MAX)), shares: Shares::default() }
    }
}

impl WaitPermits {
    fn take(&self, client: Client) -> Option<WaitPermit> {
        let share = self.shares.take(client, PERMITS_OF_CLIENT_MAX)?;
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(WaitPermit { _permit: permit, _share: share })
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
