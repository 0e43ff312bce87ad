//! Makes the tables of projections that have none yet.
//!
//! Each version of a projection lives in a schema of its own, `<name>_v<version>`; the views in
//! schema `read` stay where they are when a version changes. What is there is left alone.

use std::sync::Arc;

use infra::postgres::Pool;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::{projection::in_schema, runner::Fold};

/// Held by whoever creates tables: several projectors may start at once.
const LOCK: i64 = 0x7472_6164_6577;

/// # Errors
/// PostgreSQL is away, or the foundation of infra's migrations is missing.
pub(crate) async fn ensure(pool: &Pool, projections: &[Arc<dyn Fold>]) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    for projection in projections {
        if !exists(&mut tx, &projection.schema()).await? {
            create(&mut tx, projection.as_ref()).await?;
        }
    }
    tx.commit().await
}

async fn exists(tx: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
        .bind(schema)
        .fetch_one(tx)
        .await
}

async fn create(tx: &mut PgConnection, projection: &dyn Fold) -> Result<(), sqlx::Error> {
    let schema = projection.schema();
    tx.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
    sqlx::raw_sql(in_schema(projection.tables(), &schema)).execute(&mut *tx).await?;
    for (name, query) in projection.views() {
        if !is_view(tx, name).await? {
            let query = in_schema(query, &schema);
            let view = format!(
                "CREATE VIEW read.{name} AS {};
                 GRANT SELECT ON read.{name} TO tradewind_query, tradewind_projector",
                query.as_str()
            );
            sqlx::raw_sql(AssertSqlSafe(view)).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

/// A view that is there belongs to another version, which readers go on with.
async fn is_view(tx: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass('read.' || $1) IS NOT NULL")
        .bind(name)
        .fetch_one(tx)
        .await
}

/// What operators can do about it.
#[must_use]
pub(crate) fn explain(error: &sqlx::Error) -> &'static str {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("3F000" | "42P01") => "the database has not been migrated",
        Some("42501") => "the database's user lacks a permission; migrate the database",
        Some(_) => "PostgreSQL refuses to make the tables; the log says why",
        None => "PostgreSQL does not answer",
    }
}
