//! Makes what was copied durable and gives it its indexes, a transaction for each step.
//!
//! A row that an index refuses is found only when that is made. Then the version starts over with its
//! indexes in place and is fed like any other, which finds the event and parks it.

use infra::{
    postgres::{Pool, errors::is_about_data},
    telemetry::{chain, emit},
};
use sqlx::{AssertSqlSafe, Executor, PgConnection, types::Json};

use super::{Stepped, copy::take_back};
use crate::{
    apply::{MARK, is_marked, tables},
    store::versions::{Version, VersionState, lock_key, locked, schema_of},
};

/// Writing a table to the log or building an index may take this long: hundreds of millions of rows.
const STEP_WAIT_MAX: &str = "6h";

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// There is more to do.
    Partly,
    Wholly,
    /// PostgreSQL has lost the rows.
    WipedOut,
    /// An index does not take a row.
    Refused,
    /// Another projector is at it.
    Elsewhere,
}

/// Does one step.
///
/// # Errors
/// If PostgreSQL cannot do it; what was done before stays.
pub(crate) async fn step(pool: &Pool, version: &Version) -> Result<Finished, sqlx::Error> {
    let schema = schema_of(&version.projection, version.version);
    let mut tx = pool.begin().await?;
    let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(lock_key(&format!("finish {schema}")))
        .fetch_one(&mut *tx)
        .await?;
    if !free {
        return Ok(Finished::Elsewhere);
    }
    let patient = format!("SET LOCAL statement_timeout = '{STEP_WAIT_MAX}'");
    tx.execute(AssertSqlSafe(patient)).await?;
    let finished = if has_mark(&mut tx, &schema).await? {
        if !is_marked(&mut tx, &schema).await? {
            return Ok(Finished::WipedOut);
        }
        make_durable(&mut tx, &schema).await?;
        Finished::Partly
    } else {
        match make_index(&mut tx, version, &schema).await {
            Err(error) if is_about_data(&error) => {
                let (projection, state) = (&*version.projection, version.state.as_str());
                let detail = format!(
                    "an index does not take a row, so it starts over with its indexes, event by \
                     event: {}",
                    chain(&error)
                );
                emit(Stepped { projection, version: version.version, state, detail: &detail });
                return Ok(Finished::Refused);
            }
            made => made?,
        }
    };
    tx.commit().await?;
    Ok(finished)
}

/// Empties the tables, makes all their indexes, and has the version follow the log from its start,
/// unless somebody has already.
pub(crate) async fn start_over_indexed(pool: &Pool, version: &Version) -> Result<(), sqlx::Error> {
    let Version { projection, version, .. } = version;
    let schema = schema_of(projection, *version);
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let is_here = |it: &Version| it.version == *version && it.state == VersionState::Indexing;
    if !versions.iter().any(is_here) {
        return Ok(());
    }
    take_back(&mut tx, projection, *version, &schema, VersionState::CatchingUp).await?;
    for statement in missing(&mut tx, projection, *version).await? {
        tx.execute(AssertSqlSafe(statement)).await?;
    }
    keep_missing(&mut tx, projection, *version, Vec::new()).await?;
    tx.commit().await
}

async fn has_mark(tx: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{schema}.{MARK}"))
        .fetch_one(tx)
        .await
}

/// From the end of this transaction on, a crash takes nothing away, and the mark is not needed.
async fn make_durable(tx: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    for table in tables(tx, schema).await? {
        tx.execute(AssertSqlSafe(format!("ALTER TABLE {table} SET LOGGED"))).await?;
    }
    tx.execute(AssertSqlSafe(format!("DROP TABLE {schema}.{MARK}"))).await?;
    Ok(())
}

/// Makes one of the indexes that are missing.
async fn make_index(
    tx: &mut PgConnection,
    version: &Version,
    schema: &str,
) -> Result<Finished, sqlx::Error> {
    let Version { projection, version, .. } = version;
    let mut missing = missing(tx, projection, *version).await?;
    let Some(statement) = missing.pop() else {
        // The planner knows nothing of rows that were copied a moment ago.
        for table in tables(tx, schema).await? {
            tx.execute(AssertSqlSafe(format!("ANALYZE {table}"))).await?;
        }
        return Ok(Finished::Wholly);
    };
    tx.execute(AssertSqlSafe(statement)).await?;
    keep_missing(tx, projection, *version, missing).await?;
    Ok(Finished::Partly)
}

/// How to make the indexes that are still to be made.
async fn missing(
    tx: &mut PgConnection,
    projection: &str,
    version: i32,
) -> Result<Vec<String>, sqlx::Error> {
    let Json(missing) = sqlx::query_scalar(
        "SELECT indexes FROM projection.versions WHERE projection = $1 AND version = $2",
    )
    .bind(projection)
    .bind(version)
    .fetch_one(tx)
    .await?;
    Ok(missing)
}

async fn keep_missing(
    tx: &mut PgConnection,
    projection: &str,
    version: i32,
    missing: Vec<String>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE projection.versions SET indexes = $3 WHERE projection = $1 AND version = $2",
    )
    .bind(projection)
    .bind(version)
    .bind(Json(missing))
    .execute(tx)
    .await?;
    Ok(())
}
