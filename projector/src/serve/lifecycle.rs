//! Takes versions from state to state: when one step is known to be done, it begins the next.
//!
//! Every projector does this for the versions of its own code. Each step is a compare-and-set, or
//! holds a lock that ends with its transaction, so it does no harm that several try. A version whose step
//! takes its time (an index, a switch that waits) holds up no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    shutdown::Shutdown,
    telemetry::{chain, emit},
};
use sqlx::PgExecutor;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use super::{
    groups::Projector,
    next::{Facts, Step, next},
};
use crate::{
    rebuild::{
        Refused, Stepped,
        copy::start_over,
        finish::{self, Finished},
        switch::{Target, switch},
    },
    store::{
        verifications::Verification,
        versions::{Version, VersionState, fold_of},
    },
};

const INTERVAL: Duration = Duration::from_millis(500);
/// After a step that has changed something.
const NEXT_STEP: Duration = Duration::from_millis(50);
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
    let mut stepping = BTreeSet::new();
    let mut indexing: Option<Key> = None;
    loop {
        tokio::select! {
            // What is under way is a transaction, which PostgreSQL undoes.
            () = shutdown.requested() => return,
            Some((key, ended)) = steps.next() => {
                stepping.remove(&key);
                indexing.take_if(|it| *it == key);
                match ended {
                    Ok(false) => {}
                    Ok(true) => {
                        projector.versions.hurry();
                        // By then the versions have been read again.
                        looks.reset_after(NEXT_STEP);
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
            _ = looks.tick() => {}
            changed = versions.changed() => if changed.is_err() { shutdown.requested().await },
        }
        paused.retain(|_, until| *until > Instant::now());
        for version in projector.to_step() {
            let key = (version.projection.clone(), version.version);
            // Indexes one after another: each takes a connection, memory and the disk for long.
            let waits = version.state == VersionState::Indexing && indexing.is_some();
            if !waits && !paused.contains_key(&key) && stepping.insert(key.clone()) {
                let projector = &projector;
                if version.state == VersionState::Indexing {
                    indexing = Some(key.clone());
                }
                steps.push(async move { (key, step(projector, &version).await) });
            }
        }
    }
}

/// Names a version.
type Key = (String, i32);

impl Projector {
    /// Versions of which something is to be done by this code.
    fn to_step(&self) -> Vec<Version> {
        let known = self.versions.known();
        let is_ours = |version: &&Version| fold_of(&self.projections, version).is_some();
        let waits = |version: &&Version| version.is_busy() && !version.paused;
        known.iter().filter(waits).filter(is_ours).cloned().collect()
    }
}

/// True if something has changed.
async fn step(projector: &Projector, version: &Version) -> Result<bool, Refused> {
    let pool = &projector.shared.pool;
    // What is known may be a moment old, and the step done.
    if !Version::all(pool).await?.contains(version) {
        return Ok(false);
    }
    let facts = Facts::read(projector, version).await?;
    let Version { projection, version: number, .. } = version;
    match next(version, &facts) {
        Step::Wait => return Ok(false),
        Step::Index => {
            let detail = "all shards are copied; the tables are made durable and get their indexes";
            return Ok(advance(pool, version, VersionState::Indexing, detail).await?);
        }
        Step::Finish => return finish_all(projector, version).await,
        Step::StandBy => {
            return Ok(advance(pool, version, VersionState::Standby, "it has caught up").await?);
        }
        Step::Verify => {
            let requested = Verification::request(pool, version, None).await?;
            let set = format!("verification = '{}'", requested.id);
            Version::set(pool, projection, *number, &set).await?;
        }
        Step::Verified => drop(Version::set(pool, projection, *number, "verify = false").await?),
        Step::GiveUp(problem) => give_up(pool, version, &problem).await?,
        Step::Switch => drop(switch(pool, projection, Target::Forward(Some(*number))).await?),
    }
    Ok(true)
}

impl Facts {
    async fn read(projector: &Projector, version: &Version) -> Result<Self, sqlx::Error> {
        let pool = &projector.shared.pool;
        let shards = i64::from(projector.shared.log.shard_count());
        let (copied, caught_up, halted): (i64, i64, Option<String>) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE NOT copying),
                count(*) FILTER (WHERE seen_at > $3 AND log_end - next_offset <= $4),
                min(format('shard %s: %s', shard, halted)) FILTER (WHERE halted IS NOT NULL)
             FROM projection.checkpoints WHERE projection = $1 AND version = $2",
        )
        .bind(&version.projection)
        .bind(version.version)
        .bind(version.changed_at)
        .bind(BEHIND_MAX)
        .fetch_one(pool)
        .await?;
        let is_standby = version.state == VersionState::Standby;
        let verification = if is_standby && version.verify {
            Verification::last(pool, version).await?
        } else {
            None
        };
        let missing = if is_standby && version.switch { missing(pool, version).await? } else { 0 };
        Ok(Self { shards, copied, caught_up, halted, verification, missing })
    }
}

/// Moves a version on if it is still the one that the facts are of: whatever makes them untrue changes
/// `changed_at` (a pause, a build that starts over).
async fn advance(
    database: impl PgExecutor<'_>,
    version: &Version,
    to: VersionState,
    detail: &str,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query(
        "UPDATE projection.versions SET state = $3, changed_at = now()
         WHERE projection = $1 AND version = $2 AND state = $4 AND changed_at = $5 AND NOT paused",
    )
    .bind(&version.projection)
    .bind(version.version)
    .bind(to.as_str())
    .bind(version.state.as_str())
    .bind(version.changed_at)
    .execute(database)
    .await?;
    let moved = moved.rows_affected() > 0;
    if moved {
        let (projection, version) = (&*version.projection, version.version);
        emit(Stepped { projection, version, state: to.as_str(), detail });
    }
    Ok(moved)
}

async fn finish_all(projector: &Projector, version: &Version) -> Result<bool, Refused> {
    let pool = &projector.shared.pool;
    match finish::step(pool, version).await? {
        // The next one is for the next round: somebody may have paused or dropped it meanwhile.
        Finished::Partly => Ok(true),
        Finished::Elsewhere => Ok(false),
        Finished::WipedOut => {
            start_over(pool, &version.projection, version.version).await?;
            Ok(true)
        }
        Finished::Refused => {
            finish::start_over_indexed(pool, version).await?;
            Ok(true)
        }
        Finished::Wholly => {
            let detail = "it follows the log until it has caught up";
            Ok(advance(pool, version, VersionState::CatchingUp, detail).await?)
        }
    }
}

/// Keys that the live version has and this one has not, for it has parked their events.
async fn missing(database: impl PgExecutor<'_>, version: &Version) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(*)
         FROM projection.dead_letters AS own
         JOIN projection.versions AS live USING (projection)
         WHERE own.projection = $1 AND own.version = $2 AND own.state = 'parked'
            AND live.state = 'live' AND NOT EXISTS (
                SELECT FROM projection.dead_letters AS same
                WHERE (same.projection, same.version, same.stream, same.state)
                    = (own.projection, live.version, own.stream, 'parked'))",
    )
    .bind(&version.projection)
    .bind(version.version)
    .fetch_one(database)
    .await
}

/// What was asked for does not go on before an operator says so.
async fn give_up(
    database: impl PgExecutor<'_>,
    version: &Version,
    problem: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE projection.versions SET problem = $3 WHERE projection = $1 AND version = $2",
    )
    .bind(&version.projection)
    .bind(version.version)
    .bind(problem)
    .execute(database)
    .await?;
    Ok(())
}
