//! What all shards of a projector have in common, what all have in common who work in one of them, and what
//! keeps a part of it from going on, as `/readyz` tells it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use domain::shard::ShardId;
use infra::{
    config,
    http::health::{Condition, Readiness},
    log::{EventLog, Offset, progress::Progress},
    postgres::{self, InvalidUrl, Pool},
    retry::Waits,
    shutdown::Shutdown,
    telemetry::emit,
};
use tokio::sync::Notify;

use super::events::ApplyFailed;
use crate::store::versions::Served;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub log: Arc<dyn EventLog>,
    pub pool: Pool,
    /// For batches of several projections, and for looks that must not wait for one of them.
    pub batches: Pool,
    /// Events of a version that may be parked in a shard; beyond them it halts there.
    pub parked_events_max: usize,
    /// Shards that cannot read the log.
    pub unreadable: Arc<Failures<ShardId>>,
    /// Projections whose batches PostgreSQL does not take now.
    pub postgres: Arc<Failures<(&'static str, ShardId)>>,
    /// By projection: the shards in which it does not go on.
    pub halted: Arc<BTreeMap<&'static str, Failures<ShardId>>>,
    /// How long a batch waits for company.
    pub gather: Duration,
    /// What is fed.
    pub served: Vec<Served>,
    /// Where progress is reported, if these are the versions that readers see.
    pub progress: Option<Progress>,
    /// Told when a shard is copied, which a step of its version may wait for.
    pub copied: Arc<Notify>,
}

/// One shard, as all see it who work in it.
#[derive(Clone)]
pub(crate) struct Site {
    pub shared: Arc<Shared>,
    pub shard: ShardId,
    pub log_end: Arc<LogEnd>,
    pub stop: Shutdown,
}

/// Shared by all who read a shard, and its meter.
///
/// The log may end in records that are no commit (a claim, a stale producer's leavings). A projection
/// that has taken the last commit has nothing more to do, so for it the log ends there.
#[derive(Debug, Default)]
pub(crate) struct LogEnd {
    /// The offset that whoever is the furthest reads next.
    read: AtomicI64,
    /// The offset after the last commit that it has read.
    committed: AtomicI64,
    /// The offset after the log's last record.
    end: AtomicI64,
}

/// A condition that holds while none of many parties has failed.
pub(crate) struct Failures<K> {
    condition: Condition,
    reasons: Mutex<BTreeMap<K, String>>,
}

impl Shared {
    /// Feeds nothing yet, and reports progress; the projections named may fail, which `readiness` shows.
    #[must_use]
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        pools: Pools,
        projections: impl IntoIterator<Item = &'static str>,
        settings: &config::Projector,
        readiness: &Readiness,
        progress: Progress,
    ) -> Self {
        let halted = |name| (name, Failures::none(readiness.condition(name)));
        Self {
            log,
            pool: pools.pool,
            batches: pools.batches,
            unreadable: Failures::none(readiness.condition("kafka")).into(),
            postgres: Failures::none(readiness.condition("postgres")).into(),
            halted: Arc::new(projections.into_iter().map(halted).collect()),
            gather: settings.gather,
            served: Vec::new(),
            progress: Some(progress),
            copied: Arc::default(),
            parked_events_max: settings.parked_events_max,
        }
    }

    /// The same for other versions.
    #[must_use]
    pub(crate) fn serving(&self, served: Vec<Served>) -> Self {
        Self { served, ..self.clone() }
    }

    /// The same for a version that nobody reads: its failures leave the service ready.
    #[must_use]
    pub(crate) fn beside(&self, served: Served) -> Self {
        let (name, unread) = (served.name(), Readiness::new());
        let halted = Failures::none(unread.condition(name));
        Self {
            unreadable: Failures::none(unread.condition("kafka")).into(),
            postgres: Failures::none(unread.condition("postgres")).into(),
            halted: Arc::new([(name, halted)].into()),
            served: vec![served],
            progress: None,
            ..self.clone()
        }
    }

    /// Whether these are the versions that readers see.
    #[must_use]
    pub(crate) fn is_read(&self) -> bool {
        self.progress.is_some()
    }

    /// What is fed, in two columns.
    pub(crate) fn names_and_versions(&self) -> (Vec<&'static str>, Vec<i32>) {
        self.served.iter().map(|served| (served.name(), served.version)).unzip()
    }

    /// Forgets the failures of versions that are not fed any more.
    pub(crate) fn leave(&self, shard: ShardId) {
        self.unreadable.clear(&shard);
        for served in &self.served {
            self.postgres.clear(&(served.name(), shard));
            if let Some(failures) = self.halted.get(served.name()) {
                failures.clear(&shard);
            }
        }
    }
}

impl Site {
    #[must_use]
    pub(crate) fn new(shared: &Arc<Shared>, shard: ShardId, stop: Shutdown) -> Self {
        Self { shared: Arc::clone(shared), shard, log_end: Arc::default(), stop }
    }

    /// Waits before the next try; none if there is to be none.
    pub(crate) async fn pause(&self, waits: &mut Waits) -> Option<()> {
        tokio::select! {
            _ = waits.wait() => Some(()),
            () = self.stop.requested() => None,
        }
    }

    /// Says that PostgreSQL has not taken what is tried again.
    pub(crate) fn report_failure(&self, projection: &'static str, error: &sqlx::Error) {
        emit(ApplyFailed { projection, shard: self.shard, error });
        let reason = "PostgreSQL does not take batches".to_owned();
        self.shared.postgres.raise((projection, self.shard), reason);
    }
}

impl LogEnd {
    /// Somebody has read so far.
    pub(crate) fn has_read(&self, read: Offset, committed: Offset) {
        self.committed.fetch_max(committed, Ordering::Relaxed);
        self.read.fetch_max(read, Ordering::Relaxed);
        self.end.fetch_max(read, Ordering::Relaxed);
    }

    pub(crate) fn ends(&self, end: Offset) {
        self.end.store(end, Ordering::Relaxed);
    }

    /// Where the log ends for a projection that stands at `next_offset`.
    #[must_use]
    pub(crate) fn as_seen_from(&self, next_offset: Offset) -> Offset {
        next_offset.max(self.last_commit(self.end.load(Ordering::Relaxed)))
    }

    /// Where a projection stands that has taken all commits before `end`, as far as that is known.
    #[must_use]
    pub(crate) fn last_commit(&self, end: Offset) -> Offset {
        let (read, committed) =
            (self.read.load(Ordering::Relaxed), self.committed.load(Ordering::Relaxed));
        if read >= end { committed.min(end) } else { end }
    }
}

impl<K: Ord> Failures<K> {
    #[must_use]
    pub(crate) fn none(condition: Condition) -> Self {
        condition.met();
        Self { condition, reasons: Mutex::default() }
    }

    pub(crate) fn raise(&self, party: K, reason: String) {
        let mut reasons = self.reasons();
        reasons.insert(party, reason);
        self.show(&reasons);
    }

    /// Each batch that is in does so.
    pub(crate) fn clear(&self, party: &K) {
        let mut reasons = self.reasons();
        if reasons.remove(party).is_some() {
            self.show(&reasons);
        }
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<K, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, reasons: &BTreeMap<K, String>) {
        // Many parties tend to fail for the same reason, so the first one is enough.
        match reasons.values().next() {
            None => self.condition.met(),
            Some(reason) => self.condition.unmet(reason.clone()),
        }
    }
}

/// How long a transaction may stand idle before the server ends it. A projector that was stopped in
/// the middle of a batch would hold its checkpoint's row, and nobody else could take over.
const TRANSACTION_IDLE_MAX: &str = "5s";

/// A lock that one projection waits for, and a statement of it that takes long, hold up all that share
/// a transaction with it. They have less patience there than by themselves.
///
/// Rows are found by their keys there, and to make a plan costs as much as what it is made for. One that
/// was made while a table was empty must not read it all when it is full.
const TOGETHER: [(&str, &str); 6] = [
    ("lock_timeout", "250ms"),
    ("statement_timeout", "1s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// The connections of a projector.
#[derive(Clone)]
pub(crate) struct Pools {
    /// For what projections do by themselves, and what operators ask for.
    pub pool: Pool,
    /// For batches of several projections, and looks.
    pub batches: Pool,
    /// The one that hears notifications.
    pub listening: Pool,
}

impl Pools {
    pub(crate) fn new(settings: &config::Postgres) -> Result<Self, InvalidUrl> {
        let (listening, working) = settings.with_listener();
        let (batches, working) = working.halves();
        let pool = |settings, name, options: &[(&str, &str)]| {
            let pool = postgres::pool(settings, name)?;
            let others = pool.connect_options().as_ref().clone();
            let idle = [("idle_in_transaction_session_timeout", TRANSACTION_IDLE_MAX)];
            pool.set_connect_options(others.options(idle).options(options.iter().copied()));
            Ok(pool)
        };
        Ok(Self {
            pool: pool(&working, "tradewind-projector", &[])?,
            batches: pool(&batches, "tradewind-projector-batches", &TOGETHER)?,
            listening: pool(&listening, "tradewind-projector", &[])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_holds_when_the_last_failure_is_over() {
        let readiness = Readiness::new();
        let failures = Failures::none(readiness.condition("kafka"));
        failures.raise(1, "shard 1: away".to_owned());
        failures.raise(2, "shard 2: away".to_owned());
        failures.clear(&1);
        assert_eq!(readiness.report().reasons[0].reason, "shard 2: away");
        failures.clear(&2);
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_claim_at_the_end_is_no_lag() {
        let log_end = LogEnd::default();
        log_end.ends(11);
        assert_eq!(log_end.as_seen_from(10), 11, "nobody has read what is there");
        log_end.has_read(11, 10);
        assert_eq!(log_end.as_seen_from(10), 10);
        assert_eq!(log_end.as_seen_from(4), 10);
    }

    #[test]
    fn an_end_that_was_seen_before_stays_where_it_was() {
        let log_end = LogEnd::default();
        log_end.has_read(20, 18);
        assert_eq!((log_end.last_commit(11), log_end.last_commit(19)), (11, 18));
        assert_eq!(log_end.last_commit(21), 21, "nobody has read what is there");
    }
}
