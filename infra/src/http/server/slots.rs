//! How many connections a listener serves at once, which only briefly, and how many of one client, so
//! that none can have them all.
//!
//! When all whole slots are taken there are a few brief ones: such a connection gets one answer, and
//! only about health. So whoever asks after that is answered, whatever holds the others.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::client::Network;

pub(super) struct Slots {
    whole: Arc<Semaphore>,
    brief: Arc<Semaphore>,
}

/// What a connection holds while it is open.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// For one question after health, and no more.
    pub(super) is_brief: bool,
}

impl Slots {
    pub(super) fn new(whole: usize, brief: usize) -> Self {
        let of = |slots: usize| Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS)));
        Self { whole: of(whole), brief: of(brief) }
    }

    /// For the next connection; none if the semaphores were closed, which they never are.
    pub(super) async fn next(&self) -> Option<Slot> {
        let (whole, brief) = (Arc::clone(&self.whole), Arc::clone(&self.brief));
        let (permit, is_brief) = tokio::select! {
            biased;
            permit = whole.acquire_owned() => (permit, false),
            permit = brief.acquire_owned() => (permit, true),
        };
        Some(Slot { _permit: permit.ok()?, is_brief })
    }

    /// A whole slot instead of a brief one, if there is one by now.
    pub(super) fn better(&self, slot: Slot) -> Slot {
        if !slot.is_brief {
            return slot;
        }
        let whole = Arc::clone(&self.whole).try_acquire_owned();
        whole.map_or(slot, |permit| Slot { _permit: permit, is_brief: false })
    }
}

/// How many each client has.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    max: usize,
    /// Of those on the same machine.
    max_of_local: usize,
    taken: Arc<Mutex<FxHashMap<Network, usize>>>,
}

/// One connection of one client; dropping it gives its place back.
#[derive(Debug)]
pub(super) struct Share {
    network: Network,
    shares: Shares,
}

impl Shares {
    pub(super) fn new(max: usize, max_of_local: usize) -> Self {
        Self { max, max_of_local, taken: Arc::default() }
    }

    /// `None` if this client has its share already.
    pub(super) fn take(&self, address: IpAddr) -> Option<Share> {
        let is_local = address.to_canonical().is_loopback();
        let max = if is_local { self.max_of_local } else { self.max };
        let network = Network::from(address);
        let mut all = self.all();
        let taken = all.entry(network).or_default();
        if *taken >= max {
            return None;
        }
        *taken += 1;
        Some(Share { network, shares: self.clone() })
    }

    fn all(&self) -> MutexGuard<'_, FxHashMap<Network, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.shares.all();
        let Some(taken) = all.get_mut(&self.network) else { return };
        *taken -= 1;
        if *taken == 0 {
            all.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_its_share_leaves_the_rest_to_others() {
        let shares = Shares::new(2, 3);
        let take = |address: &str| shares.take(address.parse().unwrap());
        let (one, two) = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(one.is_some() && two.is_some());
        assert!(take("2001:db8::3").is_none());
        let other = take("192.0.2.1");
        assert!(other.is_some());
        drop(one);
        assert!(take("2001:db8::3").is_some());
        drop((two, other));
        let local: Vec<_> = (0..3).map(|_| take("127.0.0.1")).collect();
        assert!(local.iter().all(Option::is_some) && take("127.0.0.1").is_none());
        drop(local);
        assert!(shares.all().is_empty(), "who is gone is not remembered");
    }
}
