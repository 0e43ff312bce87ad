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

tokio::task_local! {
    static PATIENT: ();
}

/// Whatever `future` asks for waits until there is room, or the request's time is over.
pub(super) async fn patiently<F: Future>(future: F) -> F::Output {
    PATIENT.scope((), future).await
}

/// The request that this task answers, if it waits until there is room: also for room at another node,
/// which cannot tell when there is some.
pub(super) fn patient_request() -> Option<RequestContext> {
    PATIENT.try_with(|()| ()).ok().and_then(|()| RequestContext::current())
}

/// Counts who waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Admission(Arc<Inner>);

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
        Self(Arc::new(Inner { requests_max, shards: OnceLock::new() }))
    }

    /// Places in all of these shards, or in none: nobody holds room in one while waiting for another.
    ///
    /// Whoever comes while there is room gets it, however much it needs: so what is heavier than a
    /// share is served too, and a shard's share is exceeded by one request at most.
    ///
    /// # Errors
    /// [`SubmitError::Busy`]: the share of one of them is taken.
    pub(super) async fn enter(
        &self,
        engine: &Engine,
        wanted: &[(ShardId, usize)],
    ) -> Result<Vec<Place>, SubmitError> {
        let mut told_of = None;
        loop {
            let full = match self.take_all(engine, wanted) {
                Ok(places) => {
                    // There may be room for more than one.
                    self.pass_on(told_of);
                    return Ok(places);
                }
                Err(Refused::Unknown) => return Err(SubmitError::NotOwner),
                Err(Refused::Full(shard)) => shard,
            };
            if told_of != Some(full) {
                self.pass_on(told_of);
            }
            let (Some(request), Some(crowd)) = (patient_request(), self.0.crowd(full)) else {
                return Err(busy(full));
            };
            if timeout_at(request.deadline, crowd.left.notified()).await.is_err() {
                return Err(busy(full));
            }
            told_of = Some(full);
        }
    }

    /// [`Admission::enter`] without waiting, whoever asks.
    ///
    /// # Errors
    /// As there.
    pub(super) fn try_enter(
        &self,
        engine: &Engine,
        wanted: &[(ShardId, usize)],
    ) -> Result<Vec<Place>, SubmitError> {
        self.take_all(engine, wanted).map_err(|refused| match refused {
            Refused::Unknown => SubmitError::NotOwner,
            Refused::Full(shard) => busy(shard),
        })
    }

    fn take_all(
        &self,
        engine: &Engine,
        wanted: &[(ShardId, usize)],
    ) -> Result<Vec<Place>, Refused> {
        wanted.iter().map(|(shard, weight)| self.take(engine, *shard, *weight)).collect()
    }

    fn take(&self, engine: &Engine, shard: ShardId, weight: usize) -> Result<Place, Refused> {
        let share = self.0.share(engine);
        // Who waits comes at once when somebody leaves: the others need room of their own.
        let share = if patient_request().is_some() { share - share / 4 } else { share };
        let crowd = self.0.crowd(shard).ok_or(Refused::Unknown)?;
        let more = |before: usize| (before < share).then(|| before.saturating_add(weight));
        let taken = crowd.weight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map_err(|_full| Refused::Full(shard))?;
        Ok(Place { inner: Arc::clone(&self.0), shard, weight })
    }

    /// Wakes the next one who waits for a shard about whose room this one was told.
    fn pass_on(&self, told_of: Option<ShardId>) {
        if let Some(crowd) = told_of.and_then(|shard| self.0.crowd(shard)) {
            crowd.left.notify_one();
        }
    }
}

/// Why there is no place.
enum Refused {
    Unknown,
    Full(ShardId),
}

fn busy(shard: ShardId) -> SubmitError {
    emit(ShardCrowded { shard });
    SubmitError::Busy
}

impl Inner {
    fn share(&self, engine: &Engine) -> usize {
        let crowds = self.shards.get_or_init(|| {
            let crowds = (0..engine.shard_count()).map(|_| Crowd::default());
            crowds.collect()
        });
        (self.requests_max / crowds.len().max(1)).max(1)
    }

    /// Of a shard that there is, once [`Inner::share`] has been asked for.
    fn crowd(&self, shard: ShardId) -> Option<&Crowd> {
        self.shards.get()?.get(usize::try_from(shard.index()).ok()?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(crowd) = self.inner.crowd(self.shard) {
            crowd.weight.fetch_sub(self.weight, Ordering::Relaxed);
            crowd.left.notify_one();
        }
    }
}
