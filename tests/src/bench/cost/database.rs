//! What PostgreSQL has committed and written, on the whole server.
//!
//! A session tells of its commits at most once a second, when a transaction of it ends, and one that does
//! nothing any more after ten. So a count is up to a second old under steady load, at the end of what is
//! measured as at its beginning: the difference is right. What came before must have been told, so a load
//! that ends needs those ten seconds before a count without one.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, PgConnection};

/// After which everything has been told.
pub(super) const TOLD_WITHIN: Duration = Duration::from_secs(11);

/// A session that counts as little as it can: one commit for each look.
pub(super) struct Database(PgConnection);

/// Since the server was made.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Counts {
    pub(super) commits: f64,
    pub(super) wal_bytes: f64,
}

impl Database {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    pub(super) async fn counts(&mut self) -> Result<Counts> {
        let counts = sqlx::query_as(
            "SELECT sum(xact_commit)::float8 AS commits,
                    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal_bytes
             FROM pg_stat_database",
        );
        Ok(counts.fetch_one(&mut self.0).await?)
    }
}
