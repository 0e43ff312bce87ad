//! How many requests may wait for one shard: its share of all that may be under way.
//!
//! A request weighs as much as it has streams in the shard: one that asks for five hundred at once
//! is as much work as many that ask for one.
//!
//! A shard whose log does not answer keeps those who ask for it waiting until their deadlines. Were
//! there only the limit on all requests, they would soon be all there are, and a slow shard would
//! stop the others. So each shard has its share, and who comes on top of it is told at once.
//!
//! **Invariant:** requests that wait for some shards leave to each other shard its share.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use domain::shard::ShardId;
use infra::telemetry::emit;

use crate::{
    engine::{Engine, SubmitError},
    metrics::ShardCrowded,
};

/// Counts who waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Admission(Arc<Inner>);

struct Inner {
    requests_max: usize,
    /// By shard, whose number is known once the log has been reached.
    waiting: OnceLock<Box<[AtomicUsize]>>,
}

/// Somebody waits for a shard; dropping it makes room.
pub(super) struct Place {
    inner: Arc<Inner>,
    shard: ShardId,
    weight: usize,
}

impl Admission {
    pub(super) fn new(requests_max: usize) -> Self {
        Self(Arc::new(Inner { requests_max, waiting: OnceLock::new() }))
    }

    /// Whoever comes while there is room gets it, however much it needs: so what is heavier than a
    /// share is served too, and a shard's share is exceeded by one request at most.
    ///
    /// # Errors
    /// [`SubmitError::Busy`]: the shard's share is taken.
    pub(super) fn enter(
        &self,
        engine: &Engine,
        shard: ShardId,
        weight: usize,
    ) -> Result<Place, SubmitError> {
        let inner = &self.0;
        let counts = inner
            .waiting
            .get_or_init(|| (0..engine.shard_count()).map(|_| AtomicUsize::new(0)).collect());
        let share = (inner.requests_max / counts.len().max(1)).max(1);
        let Some(waiting) = inner.count(shard) else { return Err(SubmitError::NotOwner) };
        let taken = waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            (before < share).then(|| before.saturating_add(weight))
        });
        if taken.is_ok() {
            return Ok(Place { inner: Arc::clone(inner), shard, weight });
        }
        emit(ShardCrowded { shard });
        Err(SubmitError::Busy)
    }
}

impl Inner {
    fn count(&self, shard: ShardId) -> Option<&AtomicUsize> {
        self.waiting.get()?.get(usize::try_from(shard.index()).ok()?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(waiting) = self.inner.count(self.shard) {
            waiting.fetch_sub(self.weight, Ordering::Relaxed);
        }
    }
}
