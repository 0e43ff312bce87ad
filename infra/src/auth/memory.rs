//! What was found about keys a moment ago, so that not every request asks for it.

use std::{
    collections::BTreeSet,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    api_key::{ApiKeyId, Role},
    timestamp::Timestamp,
};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{
    KeyHash,
    directory::{Inquiry, KEY_AGE_MAX},
};
use crate::position::Entry;

/// How long a key that was found is believed without asking again.
const ASK_INTERVAL: Duration = Duration::from_secs(2);
/// Keys remembered at once, and as many texts that are no keys. A full memory is emptied, which only
/// costs look-ups.
const KEYS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Memory {
    known: Mutex<FxHashMap<ApiKeyId, Known>>,
    /// By the hash of the text, so that nobody can spoil the key of another.
    refused: Mutex<FxHashMap<[u8; 32], Instant>>,
}

/// A key that was valid when it was found.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) hash: KeyHash,
    pub(super) roles: Arc<BTreeSet<Role>>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) found_at: Instant,
    /// See [`super::directory::Found`].
    pub(super) as_of: Instant,
    pub(super) seen: Option<Entry>,
}

impl Memory {
    /// What needs no asking.
    pub(super) fn fresh(&self, inquiry: &Inquiry<'_>) -> Option<Known> {
        self.believed(inquiry).filter(|known| known.found_at.elapsed() < ASK_INTERVAL)
    }

    /// What may still be believed while nobody can be asked.
    pub(super) fn believed(&self, inquiry: &Inquiry<'_>) -> Option<Known> {
        let known = lock(&self.known).get(&inquiry.id)?.clone();
        let holds = known.as_of.elapsed() < KEY_AGE_MAX
            && known.hash.matches(&inquiry.hash)
            && inquiry.is_seen_by(known.seen);
        holds.then_some(known)
    }

    pub(super) fn is_refused(&self, inquiry: &Inquiry<'_>) -> bool {
        let refused = lock(&self.refused);
        let at = refused.get(&inquiry.hash.bytes());
        inquiry.at_least.is_empty() && at.is_some_and(|at| at.elapsed() < KEY_AGE_MAX)
    }

    pub(super) fn remember(&self, id: ApiKeyId, known: Known) {
        insert(&mut lock(&self.known), id, known);
    }

    /// `is_revoked`: the text was a key once, and must not be believed as such any more.
    pub(super) fn refuse(&self, inquiry: &Inquiry<'_>, is_revoked: bool) {
        if is_revoked {
            lock(&self.known).remove(&inquiry.id);
        }
        insert(&mut lock(&self.refused), inquiry.hash.bytes(), Instant::now());
    }
}

fn insert<K: Eq + Hash, V>(map: &mut FxHashMap<K, V>, key: K, value: V) {
    if map.len() >= KEYS_MAX {
        map.clear();
    }
    map.insert(key, value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
