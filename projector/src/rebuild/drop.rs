//! Takes a version away that nobody reads.

use infra::{postgres::Pool, retry::Policy, telemetry::emit};
use sqlx::{AssertSqlSafe, Executor};

use super::{Refused, begin::locked};
use crate::{
    dead_letters::forget_version,
    metrics::Stepped,
    versions::{COLUMNS, Version, VersionState, schema_of},
};

/// Drops the version of this number, or the only one that is not live.
///
/// # Errors
/// If there is none, or more than one, or it is live, or PostgreSQL cannot do it.
pub(crate) async fn drop(
    pool: &Pool,
    projection: &str,
    version: Option<i32>,
) -> Result<Version, Refused> {
    let once = || once(pool, projection, version);
    let dropped = infra::retry::retry(Policy::QUICK, Refused::is_passing, once).await?;
    let (projection, state) = (&*dropped.projection, VersionState::Dropped.as_str());
    emit(Stepped { projection, version: dropped.version, state, detail: "its rows are gone" });
    Ok(dropped)
}

async fn once(pool: &Pool, projection: &str, version: Option<i32>) -> Result<Version, Refused> {
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let number = choose(projection, &versions, version)?.version;
    // Batches lock their checkpoint first, and then write: so this waits for one, and the next finds
    // no checkpoint.
    sqlx::query("DELETE FROM projection.checkpoints WHERE projection = $1 AND version = $2")
        .bind(projection)
        .bind(number)
        .execute(&mut *tx)
        .await?;
    forget_version(&mut tx, projection, number).await?;
    let schema = schema_of(projection, number);
    tx.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await?;
    let dropped = sqlx::query_as(AssertSqlSafe(format!(
        "UPDATE projection.versions SET state = 'dropped', changed_at = now(), verify = false,
            switch = false
         WHERE projection = $1 AND version = $2 RETURNING {COLUMNS}"
    )))
    .bind(projection)
    .bind(number)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(dropped)
}

fn choose<'v>(
    projection: &str,
    versions: &'v [Version],
    number: Option<i32>,
) -> Result<&'v Version, Refused> {
    let mut there = versions.iter().filter(|version| version.state != VersionState::Dropped);
    if let Some(number) = number {
        let found = there
            .find(|version| version.version == number)
            .ok_or_else(|| Refused::NoVersion(format!("there is no {projection} v{number}")))?;
        return match found.state {
            VersionState::Live => Err(Refused::Conflict(format!(
                "{projection} v{number} is live; switch to another version first"
            ))),
            _ => Ok(found),
        };
    }
    let others: Vec<_> = there.filter(|version| version.state != VersionState::Live).collect();
    match &*others {
        [] => Err(Refused::NoVersion(format!("{projection} has no version that is not live"))),
        [one] => Ok(one),
        many => {
            let names: Vec<_> = many.iter().map(|it| it.version.to_string()).collect();
            Err(Refused::Conflict(format!(
                "several versions of {projection} are not live ({}); name one with --version",
                names.join(", ")
            )))
        }
    }
}
