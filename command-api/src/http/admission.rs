//! How many requests may wait for one shard: its share of all that may be under way.
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
}

impl Admission {
    pub(super) fn new(requests_max: usize) -> Self {
        Self(Arc::new(Inner { requests_max, waiting: OnceLock::new() }))
    }

    /// # Errors
    /// [`SubmitError::Busy`]: the shard's share is taken.
    pub(super) fn enter(&self, engine: &Engine, shard: ShardId) -> Result<Place, SubmitError> {
        let inner = &self.0;
        let counts = inner
            .waiting
            .get_or_init(|| (0..engine.shard_count()).map(|_| AtomicUsize::new(0)).collect());
        let share = (inner.requests_max / counts.len().max(1)).max(1);
        let Some(waiting) = inner.count(shard) else { return Err(SubmitError::NotOwner) };
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        // Made first, so that a refusal gives its own count back.
        let place = Place { inner: Arc::clone(inner), shard };
        if before < share {
            return Ok(place);
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
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
