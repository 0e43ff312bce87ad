//! PostgreSQL: the pool of connections, few, bounded and opened when they are needed; the migrations,
//! the notifications, and what its errors mean.

pub mod errors;
mod listen;
mod migrate;

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::config;

pub use listen::{Listener, ListenerEvent, POSITIONS_CHANNEL};
pub use migrate::{MigrateFailed, migrate, migrate_by};

pub type Pool = PgPool;

/// How long a query may wait for a connection; after it the request fails rather than piles up.
const ACQUIRE_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long a statement may run before the server stops it.
const STATEMENT_WAIT_MAX: &str = "15s";
/// How long a statement may wait for a lock before the server stops it.
const LOCK_WAIT_MAX: &str = "5s";

/// The text is no URL of a database. It may hold a password, so it is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("the URL of the database is malformed")]
pub struct InvalidUrl(#[source] sqlx::Error);

/// A pool that connects when it is first used: a service starts while its database is away.
///
/// # Errors
/// The URL is malformed.
pub fn pool(settings: &config::Postgres, application_name: &str) -> Result<Pool, InvalidUrl> {
    let options: PgConnectOptions = settings.url.expose_secret().parse().map_err(InvalidUrl)?;
    let options = options.application_name(application_name).options([
        ("statement_timeout", STATEMENT_WAIT_MAX),
        ("lock_timeout", LOCK_WAIT_MAX),
        ("timezone", "UTC"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(settings.connections_max)
        .acquire_timeout(ACQUIRE_WAIT_MAX)
        .connect_lazy_with(options))
}
