//! How many requests one node has under way to each other one.
//!
//! Each has a connection of its own, and the other node serves so many and no more. Whoever finds the
//! places taken waits, for as long as it would for the answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use infra::membership::Member;
use rustc_hash::FxHashMap;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::super::SubmitError;

pub(super) struct UnderWay {
    max: usize,
    by_url: Mutex<FxHashMap<String, Arc<Semaphore>>>,
}

impl UnderWay {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.clamp(1, Semaphore::MAX_PERMITS), by_url: Mutex::default() }
    }

    /// A place among the requests to a node; dropping it makes room.
    ///
    /// # Errors
    /// There was none in time. Nothing was sent.
    pub(super) async fn enter(
        &self,
        peer: &Member,
        wait: Duration,
    ) -> Result<OwnedSemaphorePermit, SubmitError> {
        let places = {
            let mut all = self.by_url.lock().unwrap_or_else(PoisonError::into_inner);
            if !all.contains_key(&peer.url) {
                // A node that nobody asks now may have gone.
                all.retain(|_, places| Arc::strong_count(places) > 1);
            }
            let new = || Arc::new(Semaphore::new(self.max));
            Arc::clone(all.entry(peer.url.clone()).or_insert_with(new))
        };
        match timeout(wait, places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(SubmitError::Busy),
        }
    }
}
