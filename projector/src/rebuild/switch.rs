//! Shows readers another version, in one transaction.
//!
//! Why nothing that somebody has read disappears, and every position token goes on being good:
//! 1. The transaction locks the checkpoints of the live version, so that it stands still.
//! 2. It waits, for a moment, until the other version is at least as far in every shard, and locks
//!    its checkpoints, too.
//! 3. It changes the views and says which version is live. A reader sees all of that or nothing;
//!    a position that was applied before is applied after.
//!
//! A statement that is under way holds the views that it reads, and the transaction waits for it; new
//! ones wait behind the transaction. So it waits for a moment only, gives up, and tries again.

use std::time::Duration;

use domain::shard::ShardId;
use infra::{
    log::{Checkpoint, Offset},
    postgres::{POSITIONS_CHANNEL, Pool},
    retry::{Policy, retry},
    telemetry::emit,
};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio::time::{Instant, sleep};

use super::{Refused, Stepped, choose};
use crate::store::{
    checkpoints::{all_of, hold},
    versions::{Version, VersionState, locked},
    views::show,
};

/// A batch of the live version that is under way may take this long.
const CHECKPOINT_WAIT_MAX: &str = "1s";
/// Reads wait behind the switch for no longer than this.
const VIEW_WAIT_MAX: &str = "100ms";
/// For so long the live version stands still until the other has caught up with it.
const CATCH_UP_WAIT_MAX: Duration = Duration::from_millis(1_500);
/// Without a look at this first, a version that is far behind would stop the live one for nothing.
const BEHIND_MAX: Offset = 2_000;
/// One that is further behind, under a load that it follows with some delay, is waited for.
const NEAR_WAIT_MAX: Duration = Duration::from_secs(3);
/// Where the machine is so busy that it comes no nearer, the live version stands still for longer, which
/// leaves the other one all there is. Beyond so many records that would not do.
const FAR_MAX: Offset = 20_000;
const FAR_WAIT_MAX: Duration = Duration::from_secs(4);
/// No try begins later: a request has ten seconds.
const TRIES_WAIT_MAX: Duration = Duration::from_secs(4);
const NEAR_INTERVAL: Duration = Duration::from_millis(50);
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(5);
/// Within the time that a request may take.
const RETRY: Policy = Policy {
    tries_max: Some(6),
    wait_min: Duration::from_millis(50),
    wait_max: Duration::from_millis(500),
};

/// Which version readers are to see.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The newest that is not live, or the one of this number.
    Forward(Option<i32>),
    /// The one that was live before.
    Back,
}

pub(crate) async fn switch(
    pool: &Pool,
    projection: &str,
    target: Target,
) -> Result<Version, Refused> {
    let began = Instant::now();
    let may_retry = |refused: &Refused| refused.is_passing() && began.elapsed() < TRIES_WAIT_MAX;
    let version = retry(RETRY, may_retry, async || {
        let wait_max = wait_until_near(pool, projection, target, began + NEAR_WAIT_MAX).await?;
        once(pool, projection, target, wait_max).await
    });
    let version = version.await?;
    let detail = match version.replaced {
        Some(replaced) => format!("readers see it instead of v{replaced}"),
        None => "readers see it again".to_owned(),
    };
    let (projection, state) = (&*version.projection, VersionState::Live.as_str());
    emit(Stepped { projection, version: version.version, state, detail: &detail });
    Ok(version)
}

/// Waits without a lock, as a paused version comes no nearer, and tells how long the live version stands
/// still then, at most.
async fn wait_until_near(
    pool: &Pool,
    projection: &str,
    target: Target,
    deadline: Instant,
) -> Result<Duration, Refused> {
    loop {
        let mut versions = Version::all(pool).await?;
        versions.retain(|version| version.projection == projection);
        let (live, next) = live_and_next(projection, &versions, target)?;
        let Some(live) = live else { return Ok(CATCH_UP_WAIT_MAX) };
        let mut connection = pool.acquire().await?;
        let reached = positions(&mut connection, live).await?;
        let found = positions(&mut connection, next).await?;
        let Some(far) = behind(&reached, &found, BEHIND_MAX) else { return Ok(CATCH_UP_WAIT_MAX) };
        let is_over = Instant::now() >= deadline;
        if next.paused || is_over && behind(&reached, &found, FAR_MAX).is_some() {
            return Err(not_yet(next, &far));
        }
        if is_over {
            return Ok(FAR_WAIT_MAX);
        }
        drop(connection);
        sleep(NEAR_INTERVAL).await;
    }
}

async fn once(
    pool: &Pool,
    projection: &str,
    target: Target,
    wait_max: Duration,
) -> Result<Version, Refused> {
    let mut tx = pool.begin().await?;
    wait_for_locks(&mut tx, CHECKPOINT_WAIT_MAX).await?;
    let versions = locked(&mut tx, projection).await?;
    let (live, next) = live_and_next(projection, &versions, target)?;
    if let Some(live) = live {
        let reached = hold(&mut tx, live).await?;
        wait_until_as_far(&mut tx, &reached, next, wait_max).await?;
    }
    wait_for_locks(&mut tx, VIEW_WAIT_MAX).await?;
    show(&mut tx, next, live).await?;
    if let Some(live) = live {
        live.set(&mut *tx, "state = 'standby', changed_at = now()").await?;
    }
    // One can roll back once only; `switch` leads forward again.
    let replaced = match (target, live) {
        (Target::Forward(_), Some(live)) => live.version.to_string(),
        (Target::Forward(_), None) | (Target::Back, _) => "NULL".to_owned(),
    };
    let set = format!(
        "state = 'live', switch = false, verify = false, replaced = {replaced}, problem = NULL,
            changed_at = now()"
    );
    let version = next.set(&mut *tx, &set).await?;
    // Query nodes ask which version is live when they hear of it.
    sqlx::query("SELECT pg_notify($1, json_build_object('switched', $2::text)::text)")
        .bind(POSITIONS_CHANNEL)
        .bind(projection)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(version)
}

/// The live version, and the one that is to be it.
fn live_and_next<'v>(
    projection: &str,
    versions: &'v [Version],
    target: Target,
) -> Result<(Option<&'v Version>, &'v Version), Refused> {
    let live = versions.iter().find(|version| version.state == VersionState::Live);
    let number = match target {
        Target::Forward(number) => number.or(versions.last().map(|newest| newest.version)),
        Target::Back => live.and_then(|live| live.replaced),
    };
    if number.is_none() && !versions.is_empty() {
        return Err(Refused::Conflict(format!(
            "the live version of {projection} has not taken the place of another"
        )));
    }
    let next = choose(projection, versions, number)?;
    let Version { version, state, .. } = next;
    match state {
        VersionState::Standby => Ok((live, next)),
        VersionState::Live => Err(Refused::Conflict(format!(
            "{projection} v{version} is live already; `rebuild` makes another version, `rollback` leads \
             back to the one before"
        ))),
        VersionState::Copying
        | VersionState::Indexing
        | VersionState::CatchingUp
        | VersionState::Dropped => Err(Refused::Conflict(format!(
            "{projection} v{version} is {}, so it cannot be read yet",
            state.as_str()
        ))),
    }
}

type Position = (ShardId, Checkpoint);

async fn positions(
    connection: &mut PgConnection,
    version: &Version,
) -> Result<Vec<Position>, sqlx::Error> {
    all_of(connection, &version.projection, version.version).await
}

async fn wait_until_as_far(
    tx: &mut PgConnection,
    reached: &[Position],
    next: &Version,
    wait_max: Duration,
) -> Result<(), Refused> {
    let deadline = Instant::now() + wait_max;
    while let Some(behind) = behind(reached, &positions(tx, next).await?, 0) {
        if Instant::now() >= deadline {
            return Err(not_yet(next, &behind));
        }
        sleep(CATCH_UP_INTERVAL).await;
    }
    // It moves forward only; locked, it cannot be dropped or begun anew any more either.
    match behind(reached, &hold(tx, next).await?, 0) {
        None => Ok(()),
        Some(behind) => Err(not_yet(next, &behind)),
    }
}

fn not_yet(next: &Version, behind: &str) -> Refused {
    let Version { projection, version, .. } = next;
    Refused::NotYet(format!("{projection} v{version} is behind the live version: {behind}"))
}

/// Where the others are more than so many records behind.
fn behind(reached: &[Position], others: &[Position], behind_max: Offset) -> Option<String> {
    reached.iter().find_map(|(shard, Checkpoint { log_id, next_offset, .. })| {
        let other = others.iter().find(|(other, _)| other == shard).map(|(_, other)| other);
        let at = other.map_or(0, |other| other.next_offset);
        if log_id.is_some() && other.is_some_and(|other| other.log_id != *log_id) {
            return Some(format!("in shard {shard} it has not begun, or follows another log"));
        }
        let is_behind = at < next_offset - behind_max;
        is_behind.then(|| format!("in shard {shard} it is at {at} of {next_offset}"))
    })
}

async fn wait_for_locks(tx: &mut PgConnection, wait_max: &str) -> Result<(), sqlx::Error> {
    tx.execute(AssertSqlSafe(format!("SET LOCAL lock_timeout = '{wait_max}'"))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use infra::log::Nonce;

    use super::*;

    fn position(shard: u32, log_id: Option<u64>, next_offset: Offset) -> Position {
        let log_id = log_id.map(Nonce);
        (ShardId::new(shard), Checkpoint { log_id, next_offset, ..Checkpoint::START })
    }

    #[test]
    fn a_version_must_be_as_far_in_every_shard_of_the_same_log() {
        let live = [position(0, Some(1), 7), position(1, None, 0)];
        let is_behind = |others: &[Position]| behind(&live, others, 0);
        assert_eq!(is_behind(&[position(0, Some(1), 7)]), None);
        assert_eq!(is_behind(&[position(0, Some(1), 9), position(1, None, 0)]), None);
        let short = [position(0, Some(1), 6)];
        assert_eq!(is_behind(&short).as_deref(), Some("in shard 0 it is at 6 of 7"));
        assert_eq!(behind(&live, &short, 1), None);
        assert!(is_behind(&[position(0, Some(2), 9)]).is_some());
        assert!(is_behind(&[position(1, None, 0)]).is_some());
    }
}
