//! The one way to a payment provider: calls are bounded in number and time.
//!
//! A call holds one permit for quick calls. After [`SLOW_AFTER`] it gives that back and goes on with a
//! permit for slow ones; if there is none, it is cut off. So calls that hang are in the way of one
//! another only. A payment without an answer is asked for again later, under the same idempotency key;
//! the payment itself knows when.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::id::PaymentId;
use infra::{
    retry::{Policy, retry},
    telemetry::emit,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    Authorisation, Decision, PaymentProvider, ProviderUnavailable,
    breaker::{Breaker, Outcome},
};
use crate::metrics::{BreakerMoved, ProviderCalled};

/// How long one call may take, its wait for a permit included.
pub(crate) const CALL_WAIT_MAX: Duration = Duration::from_secs(5);
/// When a call counts as slow.
const SLOW_AFTER: Duration = Duration::from_millis(500);
/// How long a call waits for a permit.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(2);

/// Cheap to clone; clones share their permits.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    provider: Arc<dyn PaymentProvider>,
    /// For calls that have just begun; more wait a moment.
    begun: Semaphore,
    /// For those that take longer; beyond it they are cut off.
    slow: Semaphore,
    breaker: Mutex<Breaker>,
}

/// Why there is no answer. Asking again is safe.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    #[error("too many calls to the payment provider are under way")]
    Crowded,
    #[error("the payment provider has failed often lately and is not asked for a while")]
    Paused,
    #[error("the payment provider did not answer in time")]
    TimedOut,
    #[error(transparent)]
    Failed(#[from] ProviderUnavailable),
}

impl Desk {
    /// `calls_max`: calls that begin at once; as many again may take longer.
    #[must_use]
    pub fn new(provider: Arc<dyn PaymentProvider>, calls_max: usize) -> Self {
        let (begun, slow) = (Semaphore::new(calls_max), Semaphore::new(calls_max));
        Self(Arc::new(Inner { provider, begun, slow, breaker: Mutex::default() }))
    }

    /// As payments and webhook paths name the provider.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.provider.name()
    }

    /// Asks for the money.
    ///
    /// # Errors
    /// There is no answer within [`CALL_WAIT_MAX`].
    pub async fn authorise(&self, request: &Authorisation) -> Result<Decision, CallFailed> {
        self.call("authorise", || self.0.provider.authorise(request)).await
    }

    /// Gives back whatever was or will be authorised for this payment. Voiding again is fine.
    ///
    /// # Errors
    /// There is no answer within [`CALL_WAIT_MAX`].
    pub async fn void(&self, payment_id: PaymentId) -> Result<(), CallFailed> {
        self.call("void", || self.0.provider.void(payment_id)).await
    }

    async fn call<T, F>(
        &self,
        operation: &'static str,
        call: impl FnMut() -> F,
    ) -> Result<T, CallFailed>
    where
        F: Future<Output = Result<T, ProviderUnavailable>>,
    {
        let began = Instant::now();
        let result = if self.breaker(|it| it.admit(began, CALL_WAIT_MAX)) {
            let result = self.in_turn(retry(Policy::QUICK, |_| true, call)).await;
            self.record(&result);
            result
        } else {
            Err(CallFailed::Paused)
        };
        let outcome = result.as_ref().err().map_or("answered", CallFailed::label);
        let (provider, elapsed) = (self.name(), began.elapsed());
        emit(ProviderCalled { provider, operation, outcome, elapsed });
        result
    }

    /// Waits for a permit, and for the call.
    async fn in_turn<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderUnavailable>>,
    ) -> Result<T, CallFailed> {
        let began = Instant::now();
        let permit = timeout(PERMIT_WAIT_MAX, self.0.begun.acquire()).await;
        let Ok(Ok(permit)) = permit else { return Err(CallFailed::Crowded) };
        let mut call = pin!(call);
        if let Ok(answer) = timeout(SLOW_AFTER, &mut call).await {
            return Ok(answer?);
        }
        let Ok(slow) = self.0.slow.try_acquire() else { return Err(CallFailed::Crowded) };
        drop(permit);
        let answer = timeout(CALL_WAIT_MAX.saturating_sub(began.elapsed()), call).await;
        drop(slow);
        Ok(answer.map_err(|_elapsed| CallFailed::TimedOut)??)
    }

    fn record<T>(&self, result: &Result<T, CallFailed>) {
        let outcome = match result {
            Ok(_) => Outcome::Answer,
            Err(CallFailed::Failed(_)) => Outcome::Failure,
            Err(CallFailed::Crowded | CallFailed::Paused | CallFailed::TimedOut) => {
                Outcome::Silence
            }
        };
        let (was_open, is_open) = self.breaker(|breaker| {
            let was_open = breaker.is_open();
            breaker.record(outcome, Instant::now());
            (was_open, breaker.is_open())
        });
        if was_open != is_open {
            emit(BreakerMoved { provider: self.name(), is_open });
        }
    }

    fn breaker<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        change(&mut self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CallFailed {
    const fn label(&self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Paused => "paused",
            Self::TimedOut => "timed_out",
            Self::Failed(_) => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use domain::{
        money::{Currency, Money},
        timestamp::Timestamp,
    };
    use futures_util::future::join_all;
    use uuid::Uuid;

    use super::{super::breaker::FAILURES_MAX, *};

    /// Does what the method token says.
    struct Moody;

    #[async_trait]
    impl PaymentProvider for Moody {
        fn name(&self) -> &'static str {
            "moody"
        }

        async fn authorise(
            &self,
            request: &Authorisation,
        ) -> Result<Decision, ProviderUnavailable> {
            match request.method_token.as_str() {
                "hang" => std::future::pending().await,
                "slow" => tokio::time::sleep(2 * SLOW_AFTER).await,
                "broken" => return Err(ProviderUnavailable("connection refused".into())),
                _ => {}
            }
            Ok(Decision::Authorised { reference: "r".to_owned() })
        }

        async fn void(&self, _: PaymentId) -> Result<(), ProviderUnavailable> {
            Ok(())
        }
    }

    fn desk(calls_max: usize) -> Desk {
        Desk::new(Arc::new(Moody), calls_max)
    }

    async fn ask(desk: &Desk, method_token: &str) -> Result<(), &'static str> {
        let request = Authorisation {
            payment_id: PaymentId::new(Uuid::nil()),
            amount: Money::new(500, Currency::USD),
            method_token: method_token.to_owned(),
            expires_at: Timestamp::default(),
        };
        desk.authorise(&request).await.map(drop).map_err(|failed| failed.label())
    }

    async fn ask_many(
        desk: &Desk,
        method_token: &str,
        count: usize,
    ) -> Vec<Result<(), &'static str>> {
        join_all((0..count).map(|_| ask(desk, method_token))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_ends() {
        let began = Instant::now();
        assert_eq!(ask(&desk(1), "hang").await, Err("timed_out"));
        assert_eq!(began.elapsed(), CALL_WAIT_MAX);
        assert_eq!(ask(&desk(1), "slow").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_hang_are_in_the_way_of_one_another_and_of_nobody_else() {
        let desk = desk(8);
        let honest = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let began = Instant::now();
            assert_eq!(ask(&desk, "quick").await, Ok(()));
            assert!(began.elapsed() <= 2 * SLOW_AFTER, "{:?}", began.elapsed());
        };
        let (hanging, ()) = tokio::join!(ask_many(&desk, "hang", 16), honest);
        let timed_out = hanging.iter().filter(|it| **it == Err("timed_out")).count();
        let crowded = hanging.iter().filter(|it| **it == Err("crowded")).count();
        assert_eq!((timed_out, crowded), (8, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn payments_that_hang_do_not_stop_the_calls_of_others() {
        let desk = desk(2_000);
        assert!(ask_many(&desk, "hang", 1_400).await.iter().all(|it| *it == Err("timed_out")));
        assert_eq!(ask(&desk, "quick").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_fails_is_left_alone_and_then_tried() {
        let desk = desk(8);
        for _ in 0..FAILURES_MAX {
            assert_eq!(ask(&desk, "broken").await, Err("failed"));
        }
        assert_eq!(ask(&desk, "quick").await, Err("paused"));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(ask(&desk, "quick").await, Ok(()));
        assert_eq!(ask(&desk, "quick").await, Ok(()));
    }
}
