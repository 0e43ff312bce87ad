//! The places of a shard's events: who handles one has a place, but not while it waits for somebody
//! outside.

use std::{future::Future, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Cheap to clone; clones share the places.
#[derive(Clone)]
pub(super) struct Places(Arc<Semaphore>);

/// One of them, until it is dropped.
pub(super) struct Place {
    places: Places,
    permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// One that is free.
    pub(super) fn try_take(&self) -> Option<Place> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(Place { permit: Some(permit), places: self.clone() })
    }

    /// Waits for one, first come, first served.
    pub(super) async fn take(&self) -> Place {
        Place { permit: self.permit().await, places: self.clone() }
    }

    /// The semaphore is never closed; a closed one would only lift the limit.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

impl Place {
    /// Waits without the place, and for it afterwards.
    pub(super) async fn outside<T>(&mut self, wait: impl Future<Output = T>) -> T {
        self.permit = None;
        let result = wait.await;
        self.permit = self.places.permit().await;
        result
    }
}
