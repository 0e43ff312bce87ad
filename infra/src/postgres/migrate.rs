//! Brings a database to the schema that this build expects.
//!
//! Migrations run while the old release serves, one step per file; sqlx takes a lock per database,
//! so that several processes may start at once.
//!
//! **Invariant:** no migration holds up those who read and write for longer than `LOCK_WAIT_MAX`: who
//! waits for a table's lock has all others queue behind it, so it lets go and tries again.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{
    migrate::{MigrateError, Migrator},
    postgres::PgPoolOptions,
};

use super::{Pool, errors::is_lock_timeout};
use crate::retry::{Policy, retry};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

const LOCK_WAIT_MAX: &str = "1s";
/// Some two minutes in all: whoever holds the lock is a long report, or another migration.
const RETRY: Policy = Policy {
    tries_max: Some(60),
    wait_min: Duration::from_millis(200),
    wait_max: Duration::from_secs(1),
};

#[derive(Debug, thiserror::Error)]
#[error("the database cannot be migrated")]
pub struct MigrateFailed(#[from] MigrateError);

/// # Errors
/// The database is away, or a migration fails; what succeeded before it stays.
pub fn migrate(pool: &Pool) -> BoxFuture<'_, Result<(), MigrateFailed>> {
    migrate_by(pool, &MIGRATIONS)
}

/// By other migrations than those of this release.
///
/// # Errors
/// As [`migrate`].
pub fn migrate_by<'a>(
    pool: &'a Pool,
    migrations: &'a Migrator,
) -> BoxFuture<'a, Result<(), MigrateFailed>> {
    async move {
        let options = pool.connect_options().as_ref().clone();
        let patient = options.options([("lock_timeout", LOCK_WAIT_MAX)]);
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(patient);
        let migrated = retry(RETRY, is_held_up, async || migrations.run(&pool).await).await;
        pool.close().await;
        Ok(migrated?)
    }
    .boxed()
}

/// Whether somebody else holds what the migration needs.
fn is_held_up(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    is_lock_timeout(error)
}
