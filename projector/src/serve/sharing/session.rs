//! The session at PostgreSQL that says what a projector serves.

use std::time::Duration;

use domain::shard::ShardId;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::timeout;

use super::shares::{Member, ReleaseFolds};
use crate::rows::shard_column;

/// First halves of the keys of advisory locks; the second is the member's id, or the shard.
///
/// A member publishes its folds as locks with one key, whose halves are a fold and the member's id.
const MEMBERS: i32 = 0x7472_6d62;
const SHARDS: i32 = 0x7472_7368;

/// The server ends a session that says nothing for so long, and with it its locks.
const SILENCE_MAX: &str = "1500ms";
/// How long the server may take to answer; a session that is late is as good as ended.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

/// Dropping it ends the session, and with it its locks.
pub(super) struct Session {
    connection: PgConnection,
    /// Which of the server's sessions it is.
    id: i32,
    release: u16,
}

impl Session {
    /// Says that it lives, and what it feeds.
    pub(super) async fn begin(pool: &PgPool, folds: &ReleaseFolds) -> Result<Self, sqlx::Error> {
        let options = pool.connect_options().as_ref().clone();
        let options = options
            .application_name("tradewind-projector-shards")
            .options([("idle_session_timeout", SILENCE_MAX)]);
        in_time(async {
            let mut connection = PgConnection::connect_with(&options).await?;
            // The folds first, so that a member which others can see is seen with all of them.
            sqlx::query(
                "SELECT pg_try_advisory_lock((fold << 32) | pg_backend_pid())
                 FROM unnest($1::bigint[]) AS fold",
            )
            .bind(folds.numbers().map(i64::from).collect::<Vec<_>>())
            .execute(&mut connection)
            .await?;
            let id = sqlx::query_scalar(
                "SELECT id FROM (SELECT pg_backend_pid() AS id) AS own
                 WHERE pg_try_advisory_lock($1, id)",
            )
            .bind(MEMBERS)
            .fetch_one(&mut connection)
            .await?;
            Ok(Self { connection, id, release: folds.release() })
        })
        .await
    }

    #[must_use]
    pub(super) fn id(&self) -> i64 {
        self.id.into()
    }

    /// All projectors that live, in order of their ids.
    pub(super) async fn members(&mut self) -> Result<Vec<Member>, sqlx::Error> {
        // `objsubid` 2: a lock with two keys; 1: with one.
        let members = sqlx::query_as(
            "WITH locks AS (
                SELECT classid::bigint AS class, objid::bigint AS object, objsubid
                FROM pg_locks
                WHERE locktype = 'advisory' AND granted
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             )
             SELECT members.object AS id, array_agg(feeds.class) AS feeds
             FROM locks AS members JOIN locks AS feeds USING (object)
             WHERE members.class = $1 AND members.objsubid = 2 AND feeds.objsubid = 1
             GROUP BY id ORDER BY id",
        )
        .bind(i64::from(MEMBERS))
        .fetch_all(&mut self.connection);
        in_time(members).await
    }

    /// False if another projector has it.
    pub(super) async fn lock(&mut self, shard: ShardId) -> Result<bool, sqlx::Error> {
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
            .bind(SHARDS)
            .bind(self.lock_key(shard))
            .fetch_one(&mut self.connection);
        in_time(locked).await
    }

    pub(super) async fn unlock(&mut self, shard: ShardId) -> Result<(), sqlx::Error> {
        let unlocked = sqlx::query("SELECT pg_advisory_unlock($1, $2)")
            .bind(SHARDS)
            .bind(self.lock_key(shard))
            .execute(&mut self.connection);
        in_time(unlocked).await.map(drop)
    }

    /// A release takes shards from nobody but itself.
    fn lock_key(&self, shard: ShardId) -> i32 {
        shard_column(shard) | (i32::from(self.release & 0x7fff) << 16)
    }
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    timeout(ANSWER_WAIT_MAX, answer).await.map_err(late)?
}
