//! The mark in a version that is being built, which a crash of PostgreSQL wipes out with the rows.

use sqlx::{AssertSqlSafe, PgConnection};

/// The table of one row that is there exactly as long as the rows of an unlogged build are.
pub(super) const MARK: &str = "building";

/// Whether the rows of an unlogged build are still there.
pub(crate) async fn is_marked(tx: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    let mark = format!("SELECT EXISTS (SELECT FROM {schema}.{MARK})");
    sqlx::query_scalar(AssertSqlSafe(mark)).fetch_one(tx).await
}
