//! One batch of one projection in one shard: its transaction, and what does not fit. Whoever follows the
//! log, copies it or settles what is parked stands on this.

pub(crate) mod batch;
pub(crate) mod events;
pub(crate) mod isolate;
pub(crate) mod meter;
pub(crate) mod shared;
pub(crate) mod write;

use std::time::Duration;

use infra::retry::Policy;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::rows::MARK;

/// Between tries of what must be done in the end: for ever, for there is nothing else to do.
pub(crate) const RETRY: Policy = Policy {
    tries_max: None,
    wait_min: Duration::from_millis(20),
    wait_max: Duration::from_secs(1),
};

/// Whether the rows of an unlogged build are still there.
pub(crate) async fn is_marked(tx: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    let mark = format!("SELECT EXISTS (SELECT FROM {schema}.{MARK})");
    sqlx::query_scalar(AssertSqlSafe(mark)).fetch_one(tx).await
}

/// The tables of a schema that hold rows, their names as SQL takes them.
pub(crate) async fn tables(
    tx: &mut PgConnection,
    schema: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        // One that is partitioned holds none itself.
        "SELECT format('%I.%I', nspname, relname) FROM pg_class
         JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE nspname = $1 AND relkind = 'r' AND relname <> $2 ORDER BY relname",
    )
    .bind(schema)
    .bind(MARK)
    .fetch_all(tx)
    .await
}
