//! The session at PostgreSQL that says what a projector serves.

use std::time::Duration;

use domain::shard::ShardId;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::timeout;

use crate::checkpoint::shard_column;

/// First halves of the keys of advisory locks; the second is the member's id, or the shard.
const MEMBERS: i32 = 0x7472_6d62;
const SHARDS: i32 = 0x7472_7368;

/// The server ends a session that says nothing for so long, and with it its locks.
const SILENCE_MAX: &str = "1500ms";
/// How long the server may take to answer; a session that is late is as good as ended.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

/// Dropping it lets go of everything.
pub(super) struct Session {
    connection: PgConnection,
    /// Which of the server's sessions it is.
    id: i32,
}

impl Session {
    /// # Errors
    /// If PostgreSQL does not answer in time.
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let options = pool.connect_options().as_ref().clone();
        let options = options
            .application_name("tradewind-projector-shards")
            .options([("idle_session_timeout", SILENCE_MAX)]);
        in_time(async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let id = sqlx::query_scalar(
                "SELECT id FROM (SELECT pg_backend_pid() AS id) AS own
                 WHERE pg_try_advisory_lock($1, id)",
            )
            .bind(MEMBERS)
            .fetch_one(&mut connection)
            .await?;
            Ok(Self { connection, id })
        })
        .await
    }

    #[must_use]
    pub(super) fn id(&self) -> i64 {
        self.id.into()
    }

    /// The ids of all projectors that live, in order.
    ///
    /// # Errors
    /// If PostgreSQL does not answer in time.
    pub(super) async fn members(&mut self) -> Result<Vec<i64>, sqlx::Error> {
        // `objsubid` 2: a lock with two keys.
        let members = sqlx::query_scalar(
            "SELECT objid::bigint FROM pg_locks
             WHERE locktype = 'advisory' AND classid::bigint = $1 AND objsubid = 2 AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             ORDER BY objid::bigint",
        )
        .bind(i64::from(MEMBERS))
        .fetch_all(&mut self.connection);
        in_time(members).await
    }

    /// False if another projector has it.
    ///
    /// # Errors
    /// If PostgreSQL does not answer in time.
    pub(super) async fn lock(&mut self, shard: ShardId) -> Result<bool, sqlx::Error> {
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
            .bind(SHARDS)
            .bind(shard_column(shard))
            .fetch_one(&mut self.connection);
        in_time(locked).await
    }

    /// # Errors
    /// If PostgreSQL does not answer in time.
    pub(super) async fn unlock(&mut self, shard: ShardId) -> Result<(), sqlx::Error> {
        let unlocked = sqlx::query("SELECT pg_advisory_unlock($1, $2)")
            .bind(SHARDS)
            .bind(shard_column(shard))
            .execute(&mut self.connection);
        in_time(unlocked).await.map(drop)
    }
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    timeout(ANSWER_WAIT_MAX, answer).await.map_err(late)?
}
