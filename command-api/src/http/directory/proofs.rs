//! What was read of keys in the log itself, so that it is not read for each request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::api_key::ApiKeyId;
use infra::auth::Found;
use rustc_hash::FxHashMap;
use tokio::time::{Instant, sleep_until};

use crate::engine::ReadError;

/// How long a read of the log stays a proof, if nothing newer speaks against it.
const PROOF_AGE_MAX: Duration = Duration::from_secs(2);
/// Between two reads of one key; requests that come meanwhile share the next one.
const READ_INTERVAL: Duration = Duration::from_millis(100);
/// Keys remembered at once. A full memory is emptied, which only costs reads.
const KEYS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Proofs(Mutex<FxHashMap<ApiKeyId, Arc<Proof>>>);

/// Of one key.
#[derive(Default)]
pub(super) struct Proof {
    last: Mutex<Option<Read>>,
    /// Held by the one that reads.
    reading: tokio::sync::Mutex<()>,
}

/// A read of the log, and what came of it.
#[derive(Clone)]
struct Read {
    began: Instant,
    ended: Instant,
    result: Result<Found, ReadError>,
}

impl Proofs {
    pub(super) fn of(&self, id: ApiKeyId) -> Arc<Proof> {
        let mut proofs = lock(&self.0);
        if proofs.len() >= KEYS_MAX && !proofs.contains_key(&id) {
            proofs.clear();
        }
        Arc::clone(proofs.entry(id).or_default())
    }
}

impl Proof {
    /// `known`, if a recent read of the log found the key issued and `known` says nothing against it;
    /// else the result of a read that began after this moment. Requests that come while a read is
    /// under way, or shortly after it, share the next.
    pub(super) async fn of<F>(
        &self,
        known: Option<&Found>,
        moment: Instant,
        read: impl FnOnce() -> F,
    ) -> Result<Found, ReadError>
    where
        F: Future<Output = Result<Found, ReadError>>,
    {
        if let Some(proven) = self.proven(known) {
            return Ok(proven);
        }
        let _reading = self.reading.lock().await;
        // It may have been proven meanwhile.
        if let Some(proven) = self.proven(known) {
            return Ok(proven);
        }
        let last = lock(&self.last).clone();
        if let Some(last) = last {
            if last.answers(moment) {
                return last.result;
            }
            sleep_until(last.began + READ_INTERVAL).await;
        }
        let began = Instant::now();
        let result = read().await;
        *lock(&self.last) = Some(Read { began, ended: Instant::now(), result: result.clone() });
        result
    }

    fn proven(&self, known: Option<&Found>) -> Option<Found> {
        let known = known?;
        let read = lock(&self.last).clone()?.result.ok()?;
        // What is known may be older than the read: a revocation that was read stays one.
        let held = read.record.is_some_and(|record| !record.revoked);
        let is_proof = held && read.as_of.elapsed() < PROOF_AGE_MAX;
        is_proof.then(|| Found { as_of: read.as_of, ..known.clone() })
    }
}

impl Read {
    /// Whether its result is as good as that of a read which begins at this moment. A failure is the
    /// answer to all requests that have waited for it.
    fn answers(&self, moment: Instant) -> bool {
        let as_of = if self.result.is_ok() { self.began } else { self.ended };
        as_of >= moment
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures_util::future::join_all;
    use infra::auth::{KeyHash, KeyRecord};

    use super::*;

    fn key() -> KeyRecord {
        let (hash, roles) = (KeyHash::of("a key"), BTreeSet::new());
        KeyRecord { hash, roles, expires_at: None, revoked: false }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_share_a_read_and_there_are_few_reads_in_a_time() {
        let (proof, reads) = (Proof::default(), AtomicUsize::new(0));
        let read = || async {
            reads.fetch_add(1, Ordering::Relaxed);
            let as_of = Instant::now();
            tokio::time::advance(Duration::from_millis(1)).await;
            Ok(Found { record: None, as_of, seen: None })
        };
        let began = Instant::now();
        for rounds in 1..=10 {
            let asked = Instant::now();
            for told in join_all((0..100).map(|_| proof.of(None, asked, read))).await {
                assert!(told.unwrap().as_of >= asked);
            }
            assert_eq!(reads.load(Ordering::Relaxed), rounds, "one read for all of a round");
        }
        assert!(began.elapsed() >= READ_INTERVAL * 9, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_it_is_read_what_is_known_anyway_waits_for_nothing_more() {
        let found = || Found { record: Some(key()), as_of: Instant::now(), seen: None };
        let (proof, known, read_time) = (Proof::default(), found(), Duration::from_millis(10));
        let read = || async {
            let found = found();
            tokio::time::sleep(read_time).await;
            Ok(found)
        };
        let began = Instant::now();
        let later = async {
            tokio::time::sleep(read_time / 2).await;
            proof.of(Some(&known), Instant::now(), read).await
        };
        let (first, later) = tokio::join!(proof.of(Some(&known), began, read), later);
        assert_eq!((first.unwrap().as_of, later.unwrap().as_of), (began, began));
        assert_eq!(began.elapsed(), read_time);
        // It is a proof for two seconds, and then it is read anew.
        tokio::time::advance(PROOF_AGE_MAX / 10 * 9).await;
        let told = proof.of(Some(&known), Instant::now(), read).await;
        assert_eq!(told.unwrap().as_of, began);
        tokio::time::advance(PROOF_AGE_MAX / 5).await;
        let now = Instant::now();
        assert_eq!(proof.of(Some(&known), now, read).await.unwrap().as_of, now);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_does_not_stand_against_a_revocation_that_was_read() {
        let record = |revoked| KeyRecord { revoked, ..key() };
        let found =
            |revoked| Found { record: Some(record(revoked)), as_of: Instant::now(), seen: None };
        let (proof, known) = (Proof::default(), found(false));
        for _ in 0..2 {
            tokio::time::advance(READ_INTERVAL).await;
            let told = proof.of(Some(&known), Instant::now(), || async { Ok(found(true)) }).await;
            assert!(told.unwrap().record.unwrap().revoked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_does_not_answer_lets_nobody_wait_twice() {
        let (proof, wait_max) = (Proof::default(), Duration::from_secs(5));
        let read = || async {
            tokio::time::sleep(wait_max).await;
            Err(ReadError::NotServed)
        };
        let began = Instant::now();
        let later = async {
            tokio::time::sleep(wait_max / 2).await;
            proof.of(None, Instant::now(), read).await
        };
        let (first, later) = tokio::join!(proof.of(None, began, read), later);
        assert!(first.is_err() && later.is_err());
        assert_eq!(began.elapsed(), wait_max);
    }
}
