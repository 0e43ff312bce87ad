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
//! What is answered only when the process managers are done with it waits for steps that want places of
//! their own, at other nodes too. So such requests have half of each share at most.
//!
//! **Invariant:** requests that wait for some shards leave to each other shard its share.
//! **Invariant:** there is room in which nobody waits for what is itself waiting for room.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::shard::ShardId;
use infra::{http::trace::RequestContext, telemetry::emit};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{
    SubmitError,
    events::{OfShard, ShardEvent},
};

/// How long who is patient waits until it asks another node again that has no room.
const BUSY_WAIT: Duration = Duration::from_millis(50);

tokio::task_local! {
    static PATIENT: ();
}

/// Whatever `future` asks for waits until there is room, or the request's time is over.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    PATIENT.scope((), future).await
}

/// The request that this task answers, if it waits until there is room: also for room at another node,
/// which cannot tell when there is some.
fn patient_request() -> Option<RequestContext> {
    PATIENT.try_with(|()| ()).ok().and_then(|()| RequestContext::current())
}

/// Who is patient asks again while there is no room, as the node tells that serves the shard.
pub(crate) async fn until_room<T, E, F>(ask: impl Fn() -> F + Send) -> Result<T, E>
where
    E: From<SubmitError> + Copy + PartialEq,
    F: Future<Output = Result<T, E>> + Send,
{
    loop {
        match (ask().await, patient_request()) {
            (Err(error), Some(request))
                if error == SubmitError::Busy.into()
                    && Instant::now() + BUSY_WAIT < request.deadline =>
            {
                sleep(BUSY_WAIT).await;
            }
            (answered, _) => return answered,
        }
    }
}

/// Counts who waits, unless everybody may. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Admission(Option<Shares>);

#[derive(Clone)]
struct Shares {
    share: usize,
    /// By shard.
    crowds: Arc<[Crowd]>,
}

/// Who waits for a shard.
#[derive(Default)]
struct Crowd {
    weight: AtomicUsize,
    /// Of those who wait for process managers.
    awaiting: AtomicUsize,
    /// Somebody has left.
    left: Notify,
    /// Of those who wait for process managers.
    awaiting_left: Notify,
}

/// Somebody waits for a shard; dropping it makes room.
pub(crate) struct Place {
    shares: Shares,
    shard: ShardId,
    weight: usize,
    awaits: bool,
}

/// There is no room, or none for those who wait for process managers.
#[derive(Clone, Copy, PartialEq)]
struct Full {
    shard: ShardId,
    of_awaiting: bool,
}

impl Admission {
    /// So many requests may wait for so many shards.
    pub(super) fn of(requests_max: usize, shards: usize) -> Self {
        let share = (requests_max / shards.max(1)).max(1);
        Self(Some(Shares { share, crowds: (0..shards).map(|_| Crowd::default()).collect() }))
    }

    /// Places in all of these shards, or in none: nobody holds room in one while waiting for another.
    ///
    /// Whoever comes while there is room gets it, however much it needs: so what is heavier than a
    /// share is served too, and a shard's share is exceeded by one request at most.
    ///
    /// `awaits`: for process managers, in the end.
    ///
    /// # Errors
    /// [`SubmitError::Busy`]: the share of one of them is taken.
    pub(super) async fn enter(
        &self,
        wanted: &BTreeMap<ShardId, usize>,
        awaits: bool,
    ) -> Result<Vec<Place>, SubmitError> {
        let Some(shares) = &self.0 else { return Ok(Vec::new()) };
        let mut told_of = None;
        loop {
            let full = match shares.take_all(wanted, awaits) {
                Ok(places) => {
                    // There may be room for more than one.
                    shares.pass_on(told_of);
                    return Ok(places);
                }
                Err(full) => full,
            };
            if told_of != Some(full) {
                shares.pass_on(told_of);
            }
            let Some(request) = patient_request() else { return Err(busy(full.shard)) };
            let left = shares.left(full).notified();
            if timeout_at(request.deadline, left).await.is_err() {
                return Err(busy(full.shard));
            }
            told_of = Some(full);
        }
    }

    /// [`Admission::enter`] without waiting, whoever asks.
    pub(super) fn try_enter(&self, shard: ShardId) -> Result<Vec<Place>, SubmitError> {
        let Some(shares) = &self.0 else { return Ok(Vec::new()) };
        shares.take_all(&BTreeMap::from([(shard, 1)]), false).map_err(|full| busy(full.shard))
    }
}

impl Shares {
    fn take_all(
        &self,
        wanted: &BTreeMap<ShardId, usize>,
        awaits: bool,
    ) -> Result<Vec<Place>, Full> {
        wanted.iter().map(|(shard, weight)| self.take(*shard, *weight, awaits)).collect()
    }

    /// Whoever finds no room leaves nothing, and so wakes nobody.
    fn take(&self, shard: ShardId, weight: usize, awaits: bool) -> Result<Place, Full> {
        let crowd = self.crowd(shard);
        let add = |count: &AtomicUsize, max: usize, of_awaiting: bool| {
            let more = |before: usize| (before < max).then(|| before.saturating_add(weight));
            let added = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
            added.map(drop).map_err(|_full| Full { shard, of_awaiting })
        };
        // Who waits comes at once when somebody leaves: the others need room of their own.
        let kept_free = if patient_request().is_some() { self.share / 4 } else { 0 };
        if awaits {
            add(&crowd.awaiting, (self.share / 2).max(1), true)?;
        }
        if let Err(full) = add(&crowd.weight, self.share - kept_free, false) {
            if awaits {
                crowd.awaiting.fetch_sub(weight, Ordering::Relaxed);
                // It may have been in the way of another one for a moment.
                crowd.awaiting_left.notify_one();
            }
            return Err(full);
        }
        Ok(Place { shares: self.clone(), shard, weight, awaits })
    }

    /// Wakes the next one who waits for a shard about whose room this one was told.
    fn pass_on(&self, told_of: Option<Full>) {
        if let Some(full) = told_of {
            self.left(full).notify_one();
        }
    }

    fn left(&self, full: Full) -> &Notify {
        let crowd = self.crowd(full.shard);
        if full.of_awaiting { &crowd.awaiting_left } else { &crowd.left }
    }

    fn crowd(&self, shard: ShardId) -> &Crowd {
        let index = usize::try_from(shard.index()).unwrap_or(usize::MAX);
        &self.crowds[index]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let crowd = self.shares.crowd(self.shard);
        crowd.weight.fetch_sub(self.weight, Ordering::Relaxed);
        if self.awaits {
            crowd.awaiting.fetch_sub(self.weight, Ordering::Relaxed);
            crowd.awaiting_left.notify_one();
        }
        crowd.left.notify_one();
    }
}

fn busy(shard: ShardId) -> SubmitError {
    emit(OfShard(shard, ShardEvent::Crowded));
    SubmitError::Busy
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use axum::http::HeaderMap;
    use futures_util::poll;
    use infra::http::trace::TraceContext;

    use super::*;

    const SHARD: ShardId = ShardId::new(0);

    /// As a line of a batch asks.
    async fn line(admission: &Admission, awaits: bool) -> Result<Vec<Place>, SubmitError> {
        let trace = TraceContext::from_headers(&HeaderMap::new());
        let request = RequestContext::new(trace, Instant::now(), Duration::from_mins(1));
        let wanted = BTreeMap::from([(SHARD, 1)]);
        request.scope(patiently(admission.enter(&wanted, awaits))).await
    }

    #[tokio::test]
    async fn lines_that_await_processes_wait_for_room_in_their_half_and_leave_the_rest_to_others() {
        let admission = Admission::of(8, 1);
        let mut awaiting = Vec::new();
        for _ in 0..4 {
            awaiting.push(line(&admission, true).await.unwrap());
        }
        let mut one_more = pin!(line(&admission, true));
        assert!(poll!(&mut one_more).is_pending());
        let others =
            [line(&admission, false).await.unwrap(), line(&admission, false).await.unwrap()];
        let mut another = pin!(line(&admission, false));
        assert!(poll!(&mut another).is_pending(), "a quarter is for who does not wait");
        drop(others);
        assert!(poll!(&mut one_more).is_pending(), "it was no place of their half");
        let another = another.await.unwrap();
        awaiting.pop();
        one_more.await.unwrap();
        drop(another);
    }
}
