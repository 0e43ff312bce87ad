//! How many requests may wait for one shard: its share of all that may be under way.
//!
//! A request weighs as much as it has streams in the shard: one that asks for five hundred at once
//! is as much work as many that ask for one.
//!
//! A shard whose log does not answer keeps those who ask for it waiting until their deadlines. Were
//! there only the limit on all requests, they would soon be all there are, and a slow shard would
//! stop the others. So each shard has its share, and who comes on top of it is told at once. Lines of a
//! batch wait for room instead: their number is bounded by the batch, which reads no more of them.
//!
//! **Invariant:** requests that wait for some shards leave to each other shard its share.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use domain::shard::ShardId;
use infra::{http::trace::RequestContext, telemetry::emit};
use tokio::{sync::Notify, time::timeout_at};

use crate::{
    engine::{Engine, SubmitError},
    metrics::ShardCrowded,
};

/// Counts who waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Admission {
    inner: Arc<Inner>,
    is_patient: bool,
}

struct Inner {
    requests_max: usize,
    /// By shard, whose number is known once the log has been reached.
    shards: OnceLock<Box<[Crowd]>>,
}

/// Who waits for a shard.
#[derive(Default)]
struct Crowd {
    weight: AtomicUsize,
    /// Somebody has left.
    left: Notify,
}

/// Somebody waits for a shard; dropping it makes room.
pub(super) struct Place {
    inner: Arc<Inner>,
    shard: ShardId,
    weight: usize,
}

impl Admission {
    pub(super) fn new(requests_max: usize) -> Self {
        let inner = Arc::new(Inner { requests_max, shards: OnceLock::new() });
        Self { inner, is_patient: false }
    }

    /// For those who wait until there is room, or the request's time is over.
    #[must_use]
    pub(super) fn patient(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), is_patient: true }
    }

    /// Whoever comes while there is room gets it, however much it needs: so what is heavier than a
    /// share is served too, and a shard's share is exceeded by one request at most.
    ///
    /// # Errors
    /// [`SubmitError::Busy`]: the shard's share is taken.
    pub(super) async fn enter(
        &self,
        engine: &Engine,
        shard: ShardId,
        weight: usize,
    ) -> Result<Place, SubmitError> {
        let inner = &self.inner;
        let (crowd, share) = inner.crowd(engine, shard).ok_or(SubmitError::NotOwner)?;
        if crowd.take(share, weight) {
            return Ok(Place { inner: Arc::clone(inner), shard, weight });
        }
        if let Some(request) = RequestContext::current().filter(|_| self.is_patient) {
            while timeout_at(request.deadline, crowd.left.notified()).await.is_ok() {
                if crowd.take(share, weight) {
                    // There may be room for more than one.
                    crowd.left.notify_one();
                    return Ok(Place { inner: Arc::clone(inner), shard, weight });
                }
            }
        }
        emit(ShardCrowded { shard });
        Err(SubmitError::Busy)
    }
}

impl Inner {
    /// And how much of it there may be.
    fn crowd(&self, engine: &Engine, shard: ShardId) -> Option<(&Crowd, usize)> {
        let crowds = self.shards.get_or_init(|| {
            let crowds = (0..engine.shard_count()).map(|_| Crowd::default());
            crowds.collect()
        });
        let share = (self.requests_max / crowds.len().max(1)).max(1);
        Some((crowds.get(usize::try_from(shard.index()).ok()?)?, share))
    }
}

impl Crowd {
    fn take(&self, share: usize, weight: usize) -> bool {
        let more = |before: usize| (before < share).then(|| before.saturating_add(weight));
        self.weight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn leave(&self, weight: usize) {
        self.weight.fetch_sub(weight, Ordering::Relaxed);
        self.left.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let crowds = self.inner.shards.get();
        let index = usize::try_from(self.shard.index()).ok();
        if let Some(crowd) = crowds.zip(index).and_then(|(crowds, index)| crowds.get(index)) {
            crowd.leave(self.weight);
        }
    }
}
