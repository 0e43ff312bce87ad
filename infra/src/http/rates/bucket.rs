//! The buckets of one kind of client.

use std::{
    fmt,
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::http::HeaderValue;
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::config::Rate;

/// Buckets of each kind, and keys that are remembered.
pub(super) const CLIENTS_MAX: usize = 1 << 16;

struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, Time, StateInformationMiddleware>,
    /// What was given back, a unit each.
    returned: AtomicU32,
}

/// Tokio's time, which tests can stop.
#[derive(Clone, Copy, Debug)]
struct Time {
    began: Instant,
}

impl Clock for Time {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.began.elapsed().into()
    }
}

pub(super) struct Buckets<K> {
    name: &'static str,
    /// `None`: as much as they like.
    rate: Option<Rate>,
    clients: Cache<K, Arc<Bucket>>,
    time: Time,
    policy: HeaderValue,
}

/// How a client stands after a request.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) name: &'static str,
    /// `RateLimit-Policy`
    pub(super) policy: HeaderValue,
    pub(super) remaining: u32,
    /// Until there is more: of a full bucket, or of what was asked for, if that was refused.
    pub(super) wait: Duration,
}

/// The bucket of this client is empty.
#[derive(Debug)]
pub(super) struct Empty(pub(super) Standing);

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(name: &'static str, rate: Option<Rate>) -> Self {
        let policy =
            rate.map(|rate| format!("\"{name}\";q={};w={}", rate.burst, rate.window_seconds()));
        let policy = HeaderValue::try_from(policy.unwrap_or_default());
        Self {
            name,
            rate,
            clients: Cache::new(CLIENTS_MAX),
            time: Time { began: Instant::now() },
            // Digits and a name always make a header.
            policy: policy.unwrap_or(HeaderValue::from_static("")),
        }
    }

    /// Takes what a request weighs out of a client's bucket.
    pub(super) fn take(&self, client: K, weight: u32) -> Result<Option<Standing>, Empty> {
        let Some(rate) = self.rate else { return Ok(None) };
        let bucket = match self.clients.get(&client) {
            Some(bucket) => bucket,
            None => self.fill(client, rate),
        };
        // What weighs more than a bucket holds empties a full one.
        let weight = NonZeroU32::new(weight).map_or(NonZeroU32::MIN, |it| it.min(rate.burst));
        let standing = |remaining, wait| Standing {
            name: self.name,
            policy: self.policy.clone(),
            remaining,
            wait,
        };
        match bucket.limiter.check_n(weight) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                let missing = rate.burst.get().saturating_sub(remaining);
                let wait = Duration::from_secs(missing.div_ceil(rate.per_second.get()).into());
                Ok(Some(standing(remaining, wait)))
            }
            Ok(Err(until)) => Err(Empty(standing(0, until.wait_time_from(self.time.now())))),
            // No bucket is asked for more than it holds.
            Err(_) => Ok(None),
        }
    }

    /// Takes one unit, and may give it back.
    pub(super) fn take_one(&self, client: K) -> Result<(), Empty> {
        let returned = self.clients.get(&client).is_some_and(|bucket| {
            let less = |returned: u32| returned.checked_sub(1);
            bucket.returned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        });
        if returned { Ok(()) } else { self.take(client, 1).map(drop) }
    }

    /// What was taken was not owed. A bucket that was forgotten meanwhile is full anyway.
    pub(super) fn give_back(&self, client: &K) {
        let (Some(rate), Some(bucket)) = (self.rate, self.clients.get(client)) else { return };
        let more = |returned: u32| (returned < rate.burst.get()).then(|| returned + 1);
        bucket.returned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok();
    }

    /// Of two that come at once, one may begin with a bucket that the other does not share.
    fn fill(&self, client: K, rate: Rate) -> Arc<Bucket> {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let limiter = RateLimiter::direct_with_clock(quota, self.time);
        let limiter = limiter.with_middleware::<StateInformationMiddleware>();
        let bucket = Arc::new(Bucket { limiter, returned: AtomicU32::new(0) });
        self.clients.insert(client, Arc::clone(&bucket));
        bucket
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }
}

impl<K> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Rate {
    /// How long an empty bucket takes to be full again, in whole seconds.
    fn window_seconds(self) -> u32 {
        self.burst.get().div_ceil(self.per_second.get())
    }
}
