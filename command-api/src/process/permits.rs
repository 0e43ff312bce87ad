//! Permits to handle a shard's events. A handler holds one, but not while it waits for somebody outside,
//! and not for ever: a shard that does not answer must not stop what others wait for.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a permit is held: far longer than a shard that answers takes.
const HELD_MAX: Duration = Duration::from_millis(250);

/// Cheap to clone; clones share the permits.
#[derive(Clone)]
pub(super) struct Permits(Arc<Semaphore>);

/// One of them, until it is dropped.
pub(super) struct Permit {
    permits: Permits,
    permit: Option<OwnedSemaphorePermit>,
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// One that is free.
    pub(super) fn try_take(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(Permit { permit: Some(permit), permits: self.clone() })
    }

    /// Waits for one, first come, first served.
    pub(super) async fn take(&self) -> Permit {
        Permit { permit: self.permit().await, permits: self.clone() }
    }

    /// The semaphore is never closed; a closed one would only lift the limit.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

impl Permit {
    /// Works with the permit, and where that takes long, goes on without it.
    pub(super) async fn hold<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        match timeout(HELD_MAX, &mut work).await {
            Ok(result) => result,
            Err(_elapsed) => self.outside(work).await,
        }
    }

    /// Waits without the permit, and for it afterwards.
    pub(super) async fn outside<T>(&mut self, wait: impl Future<Output = T>) -> T {
        self.permit = None;
        let result = wait.await;
        self.permit = self.permits.permit().await;
        result
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn long_work_lets_another_in_and_ends_with_a_permit() {
        let permits = Permits::new(1);
        let mut slow = permits.take().await;
        let (end, ended) = oneshot::channel::<()>();
        let mut working = pin!(slow.hold(ended));
        let other = tokio::select! {
            _ = &mut working => panic!("it works"),
            other = permits.take() => other,
        };
        end.send(()).unwrap();
        tokio::select! {
            biased;
            _ = &mut working => panic!("its permit is taken"),
            () = tokio::task::yield_now() => drop(other),
        }
        working.await.unwrap();
        assert!(permits.try_take().is_none(), "it has its permit back");
    }
}
