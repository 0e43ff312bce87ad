//! Brings a database to the schema that this build expects.
//!
//! Migrations run while the old release serves, one step per file; sqlx takes a lock per database,
//! so that several processes may start at once.

use sqlx::migrate::{MigrateError, Migrator};

use super::Pool;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

#[derive(Debug, thiserror::Error)]
#[error("the database cannot be migrated")]
pub struct MigrateFailed(#[from] MigrateError);

/// # Errors
/// The database is away, or a migration fails; what succeeded before it stays.
pub async fn migrate(pool: &Pool) -> Result<(), MigrateFailed> {
    Ok(MIGRATIONS.run(pool).await?)
}
