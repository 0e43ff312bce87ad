//! Takes versions from state to state: when one step is known to be done, it begins the next.
//!
//! Every projector does this for the versions of its own code. Each step is a compare-and-set, or
//! holds a lock that ends with its transaction, so it does no harm that several try. A version whose step
//! takes its time (an index, a switch that waits) holds up no other.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{shutdown::Shutdown, telemetry::chain};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use super::{
    groups::Projector,
    next::{Facts, Step, next},
};
use crate::{
    rebuild::{
        Refused, advance,
        switch::{Target, switch},
        tables::finish,
    },
    store::{
        verifications::Verification,
        versions::{Version, VersionState, fold_of},
    },
};

const INTERVAL: Duration = Duration::from_millis(500);
/// After a step that has changed something.
const NEXT_STEP: Duration = Duration::from_millis(50);
/// For so long after it, too, looks are that frequent: of a short log the next step is done in a moment.
const FREQUENT_FOR: Duration = Duration::from_secs(2);
/// What did not work is left alone for so long: a switch that is tried too early holds up the live
/// version.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(5);
/// A version has caught up when it is so many records behind at most, in each shard, by a look at the log's
/// end that was taken after it began to follow.
const BEHIND_MAX: i64 = 1_000;

/// Runs until the shutdown.
pub(crate) async fn run(projector: Arc<Projector>, shutdown: Shutdown) {
    let mut versions = projector.versions.subscribe();
    let mut looks = interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Until when versions are left alone.
    let mut paused = BTreeMap::<Key, Instant>::new();
    let mut steps = FuturesUnordered::new();
    let mut stepping = BTreeMap::<Key, VersionState>::new();
    let mut frequent_until = Instant::now();
    loop {
        tokio::select! {
            // What is under way is a transaction, which PostgreSQL undoes.
            () = shutdown.requested() => return,
            Some((key, ended)) = steps.next() => {
                stepping.remove(&key);
                match ended {
                    Ok(false) => {}
                    Ok(true) => {
                        projector.versions.hurry();
                        // By then the versions have been read again.
                        looks.reset_after(NEXT_STEP);
                        frequent_until = Instant::now() + FREQUENT_FOR;
                    }
                    Err(error) => {
                        let ((projection, version), error) = (&key, chain(&error));
                        warn!(
                            %projection, version,
                            "{projection} v{version} does not go on: {error}"
                        );
                        paused.insert(key, Instant::now() + PAUSE_AFTER_ERROR);
                    }
                }
                continue;
            }
            _ = looks.tick() => if Instant::now() < frequent_until { looks.reset_after(NEXT_STEP) },
            () = projector.shared.copied.notified() => {}
            changed = versions.changed() => if changed.is_err() { shutdown.requested().await },
        }
        paused.retain(|_, until| *until > Instant::now());
        let known = Arc::clone(&versions.borrow());
        let is_ours = |it: &&Version| fold_of(&projector.projections, it).is_some();
        let ours = known.iter().filter(is_ours).filter(|it| it.is_busy() && !it.paused).cloned();
        for version in ours {
            let key = (version.projection.clone(), version.version);
            // Indexes one after another: each takes a connection, memory and the disk for long.
            let waits = version.state == VersionState::Indexing
                && stepping.values().any(|state| *state == VersionState::Indexing);
            if waits || paused.contains_key(&key) {
                continue;
            }
            if let Entry::Vacant(free) = stepping.entry(key.clone()) {
                free.insert(version.state);
                let projector = &projector;
                steps.push(async move { (key, step(projector, &version).await) });
            }
        }
    }
}

/// Names a version.
type Key = (String, i32);

/// True if something has changed.
async fn step(projector: &Projector, version: &Version) -> Result<bool, Refused> {
    let pool = &projector.shared.pool;
    // What is known may be a moment old, and the step done.
    if !Version::all(pool).await?.contains(version) {
        return Ok(false);
    }
    let facts = Facts {
        shards: projector.shared.log.shard_count().into(),
        progress: version.progress(pool, BEHIND_MAX).await?,
        verification: Verification::last(pool, version).await?,
    };
    match next(version, &facts) {
        Step::Wait => return Ok(false),
        Step::Advance(to, detail) => return Ok(advance(pool, version, to, detail).await?),
        Step::Finish => return Ok(finish(pool, version).await?),
        Step::Verify => {
            let requested = Verification::request(pool, version, None).await?;
            let set = format!("verification = '{}'", requested.id);
            version.set(pool, &set).await?;
        }
        Step::Verified => drop(version.set(pool, "verify = false").await?),
        Step::GiveUp(problem) => version.give_up(pool, &problem).await?,
        Step::Switch => {
            let target = Target::Forward(Some(version.version));
            switch(pool, &version.projection, target).await?;
        }
    }
    Ok(true)
}
