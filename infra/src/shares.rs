//! What clients have of something that all of them share, so that none can have all of it.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustc_hash::FxHashMap;

/// How much each client has. Clones share it.
#[derive(Clone, Debug)]
pub struct Shares<C>(Arc<Mutex<FxHashMap<C, usize>>>);

/// A part of one client's share; dropping it gives it back.
#[derive(Debug)]
pub struct Share<C: Copy + Eq + Hash> {
    client: C,
    shares: Shares<C>,
}

impl<C> Default for Shares<C> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<C: Copy + Eq + Hash> Shares<C> {
    /// `None` if this client has `max` parts already.
    pub fn take(&self, client: C, max: usize) -> Option<Share<C>> {
        let mut all = self.all();
        let taken = all.get(&client).copied().unwrap_or_default();
        if taken >= max {
            return None;
        }
        all.insert(client, taken + 1);
        Some(Share { client, shares: self.clone() })
    }

    fn all(&self) -> MutexGuard<'_, FxHashMap<C, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Copy + Eq + Hash> Drop for Share<C> {
    fn drop(&mut self) {
        let mut all = self.shares.all();
        let Some(taken) = all.get_mut(&self.client) else { return };
        *taken -= 1;
        if *taken == 0 {
            all.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_its_share_leaves_the_rest_to_others() {
        let shares = Shares::default();
        let (one, two) = (shares.take("a", 2), shares.take("a", 2));
        assert!(one.is_some() && two.is_some());
        assert!(shares.take("a", 2).is_none());
        let other = shares.take("b", 1);
        assert!(other.is_some());
        drop(one);
        assert!(shares.take("a", 2).is_some(), "what has gone made room");
        drop((two, other));
        assert!(shares.all().is_empty(), "who is gone is not remembered");
    }
}
