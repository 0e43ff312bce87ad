//! Makes what was copied durable and gives it its indexes, a transaction for each step.

use infra::postgres::Pool;
use sqlx::{AssertSqlSafe, Executor, PgConnection, types::Json};

use super::{begin::tables, copy::is_marked};
use crate::versions::{Version, lock_key, schema_of};

/// Writing a table to the log or building an index may take this long: hundreds of millions of rows.
const STEP_WAIT_MAX: &str = "6h";

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// There is more to do.
    Partly,
    Wholly,
    /// PostgreSQL has lost the rows.
    WipedOut,
    /// Another projector is at it.
    Elsewhere,
}

/// Does one step.
///
/// # Errors
/// If PostgreSQL cannot do it; what was done before stays.
pub(super) async fn step(pool: &Pool, version: &Version) -> Result<Finished, sqlx::Error> {
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
        make_index(&mut tx, version, &schema).await?
    };
    tx.commit().await?;
    Ok(finished)
}

async fn has_mark(tx: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{schema}.{}", super::begin::MARK))
        .fetch_one(tx)
        .await
}

/// From the end of this transaction on, a crash takes nothing away, and the mark is not needed.
async fn make_durable(tx: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    for table in tables(tx, schema).await? {
        tx.execute(AssertSqlSafe(format!("ALTER TABLE {table} SET LOGGED"))).await?;
    }
    tx.execute(AssertSqlSafe(format!("DROP TABLE {schema}.{}", super::begin::MARK))).await?;
    Ok(())
}

/// Makes one of the indexes that are missing.
async fn make_index(
    tx: &mut PgConnection,
    version: &Version,
    schema: &str,
) -> Result<Finished, sqlx::Error> {
    let Json(mut missing): Json<Vec<String>> = sqlx::query_scalar(
        "SELECT indexes FROM projection.versions WHERE projection = $1 AND version = $2",
    )
    .bind(&version.projection)
    .bind(version.version)
    .fetch_one(&mut *tx)
    .await?;
    let Some(statement) = missing.pop() else {
        // The planner knows nothing of rows that were copied a moment ago.
        for table in tables(tx, schema).await? {
            tx.execute(AssertSqlSafe(format!("ANALYZE {table}"))).await?;
        }
        return Ok(Finished::Wholly);
    };
    tx.execute(AssertSqlSafe(statement)).await?;
    sqlx::query(
        "UPDATE projection.versions SET indexes = $3 WHERE projection = $1 AND version = $2",
    )
    .bind(&version.projection)
    .bind(version.version)
    .bind(Json(missing))
    .execute(tx)
    .await?;
    Ok(Finished::Partly)
}
