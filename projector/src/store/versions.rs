//! The versions of projections: which there are, what becomes of each, and which one is read.
//!
//! A version has rows of its own, in the schema `<projection>_v<version>`, and checkpoints of its
//! own. It is made by one fold, the `version` of the code; whoever runs that code feeds it, so that
//! two releases can serve side by side, each its own versions.
//!
//! ```text
//! copying ──▶ indexing ──▶ catching_up ──▶ standby ◀──▶ live
//!    └──────────────┴───────────┴─────────────┴────▶ dropped
//! ```
//!
//! **Invariant:** at most one version of a projection is live, and the views in schema `read` show
//! that one: both change in one transaction (`rebuild/switch.rs`).

use chrono::{DateTime, Utc};
use infra::{http::values::Whole, postgres::Pool};
use read_models::Projection;
use serde::{Deserialize, Serialize};
use sqlx::{
    AssertSqlSafe, FromRow, PgConnection, PgExecutor, Postgres, Row, postgres::PgArguments,
    query::Query,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::names::named;

/// The columns of a [`Version`]. Not `*`: a release that adds one would change the answers to statements
/// that older ones have prepared.
const COLUMNS: &str =
    "projection, version, fold, state, paused, throttle, verify, verification, switch,
    replaced, problem, corrections_since, created_at, changed_at";

/// One version of a projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, FromRow)]
#[cfg_attr(test, derive(Default))]
#[schema(as = ProjectionVersion)]
pub struct Version {
    #[schema(example = "orders")]
    pub projection: String,
    /// Grows with each rebuild.
    pub version: i32,
    /// The release's own number for how it makes these rows.
    pub fold: i32,
    #[sqlx(try_from = "String")]
    pub state: VersionState,
    /// A build that does not go on until it is resumed.
    pub paused: bool,
    /// Events per second that its build may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<i32>,
    /// It will be verified once it has caught up.
    pub verify: bool,
    /// The verification that was done because it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Uuid>,
    /// It will be switched to once it has caught up.
    pub switch: bool,
    /// The version that was live before it, to which a rollback leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<i32>,
    /// Why what was asked for does not go on, or why the version should be built anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// It was built as if operators had corrected no event before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub corrections_since: Option<DateTime<Utc>>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: DateTime<Utc>,
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: DateTime<Utc>,
}

/// What becomes of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(Default))]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Reads the log in bulk, into tables without indexes that a crash of PostgreSQL empties.
    #[cfg_attr(test, default)]
    Copying,
    /// Its tables are made durable and get their indexes.
    Indexing,
    /// Follows the log like any other, some way behind it.
    CatchingUp,
    /// Up to date; can be switched to at any time.
    Standby,
    /// The one that is read.
    Live,
    Dropped,
}

impl VersionState {
    /// Whether it is yet to become complete.
    #[must_use]
    pub const fn is_building(self) -> bool {
        matches!(self, Self::Copying | Self::Indexing | Self::CatchingUp)
    }
}

named!(VersionState {
    Copying => "copying",
    Indexing => "indexing",
    CatchingUp => "catching_up",
    Standby => "standby",
    Live => "live",
    Dropped => "dropped",
});

pub(crate) type Positive = Whole<i32, 1, 2_147_483_647>;

/// How a new version is to be built.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rebuild)]
pub(crate) struct RebuildRequest {
    /// Records of the log per second, of all shards together; as fast as it goes without it.
    #[schema(example = 50_000)]
    pub throttle: Option<Positive>,
    /// Verify it when it has caught up.
    #[serde(default)]
    pub verify: bool,
    /// Then switch to it, unless differences were found.
    #[serde(default)]
    pub switch: bool,
    /// Read events as they stand in the log: edits and skips of dead letters that were made so far are
    /// not those of this version.
    #[serde(default)]
    pub forget_corrections: bool,
}

infra::validates!(RebuildRequest: throttle);

/// How far a version is on its way to readers.
#[derive(Debug, Default, FromRow)]
pub(crate) struct BuildProgress {
    /// Shards that are copied.
    pub copied: i64,
    /// Shards that are near the end of the log.
    pub caught_up: i64,
    /// Where it does not go on, and why.
    pub halted: Option<String>,
    /// Keys that the live version has and this one has not, for it has parked their events.
    pub missing: i64,
}

impl Version {
    /// Whether something is still to be done that was asked for.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.problem.is_none() && (self.state.is_building() || self.verify || self.switch)
    }

    /// All that are not dropped, by projection and version.
    ///
    /// # Errors
    /// If PostgreSQL cannot answer.
    pub async fn all(database: impl PgExecutor<'_>) -> Result<Vec<Self>, sqlx::Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM projection.versions WHERE state <> 'dropped'
             ORDER BY projection, version"
        );
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(database).await
    }

    /// Adds the next one of its projection. Those that were dropped count: a number never means two
    /// things.
    pub(crate) async fn insert(
        tx: &mut PgConnection,
        projection: &Projection,
        state: VersionState,
        request: RebuildRequest,
    ) -> Result<Self, sqlx::Error> {
        let sql = format!(
            "INSERT INTO projection.versions (projection, version, fold, state, throttle, verify,
                switch, corrections_since)
             SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now()
                ELSE max(corrections_since) FILTER (WHERE state = 'live') END
             FROM projection.versions WHERE projection = $1
             RETURNING {COLUMNS}"
        );
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(projection.name)
            .bind(projection.version)
            .bind(state.as_str())
            .bind(request.throttle.map(Whole::get))
            .bind(request.verify)
            .bind(request.switch)
            .bind(request.forget_corrections)
            .fetch_one(tx)
            .await
    }

    /// A statement about it, which is what its first two parameters name.
    pub(super) fn query(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql).bind(&self.projection).bind(self.version)
    }

    /// Runs such a statement.
    pub(super) async fn run(
        &self,
        database: impl PgExecutor<'_>,
        sql: &'static str,
    ) -> Result<(), sqlx::Error> {
        self.query(sql).execute(database).await.map(drop)
    }

    /// Sets columns.
    pub(crate) async fn set(
        &self,
        database: impl PgExecutor<'_>,
        columns: &str,
    ) -> Result<Self, sqlx::Error> {
        let sql = format!(
            "UPDATE projection.versions SET {columns}
             WHERE projection = $1 AND version = $2 RETURNING {COLUMNS}"
        );
        let set = sqlx::query_as(AssertSqlSafe(sql)).bind(&self.projection).bind(self.version);
        set.fetch_one(database).await
    }

    /// Moves it on if it is still the one that is known: whatever makes untrue what was found out about
    /// it changes `changed_at` (a pause, a build that starts over).
    pub(crate) async fn move_on(&self, pool: &Pool, to: VersionState) -> Result<bool, sqlx::Error> {
        let moved = self.query(
            "UPDATE projection.versions SET state = $3, changed_at = now()
             WHERE projection = $1 AND version = $2 AND state = $4 AND changed_at = $5
                AND NOT paused",
        );
        let moved = moved.bind(to.as_str()).bind(self.state.as_str()).bind(self.changed_at);
        Ok(moved.execute(pool).await?.rows_affected() > 0)
    }

    /// What was asked for does not go on before an operator says so.
    pub(crate) async fn give_up(&self, pool: &Pool, problem: &str) -> Result<(), sqlx::Error> {
        let told = self.query(
            "UPDATE projection.versions SET problem = $3 WHERE projection = $1 AND version = $2",
        );
        told.bind(problem).execute(pool).await.map(drop)
    }

    /// A shard has caught up when it is so many records behind at most, by a look at the log's end that
    /// was taken after the version began to follow.
    pub(crate) async fn progress(
        &self,
        pool: &Pool,
        behind_max: i64,
    ) -> Result<BuildProgress, sqlx::Error> {
        let found = self.query(
            "SELECT count(*) FILTER (WHERE NOT copying) AS copied,
                count(*) FILTER (WHERE seen_at > $3 AND log_end - next_offset <= $4) AS caught_up,
                min(format('shard %s: %s', shard, halted)) FILTER (WHERE halted IS NOT NULL)
                    AS halted,
                (SELECT count(*)
                 FROM projection.dead_letters AS own
                 JOIN projection.versions AS live USING (projection)
                 WHERE own.projection = $1 AND own.version = $2 AND own.state = 'parked'
                    AND live.state = 'live' AND NOT EXISTS (
                        SELECT FROM projection.dead_letters AS same
                        WHERE (same.projection, same.version, same.stream, same.state)
                            = (own.projection, live.version, own.stream, 'parked'))) AS missing
             FROM projection.checkpoints WHERE projection = $1 AND version = $2",
        );
        let found = found.bind(self.changed_at).bind(behind_max).fetch_one(pool).await?;
        BuildProgress::from_row(&found)
    }

    /// Remembers how to make the indexes again that no constraint needs; tells their names.
    pub(crate) async fn note_indexes(
        &self,
        tx: &mut PgConnection,
    ) -> Result<Vec<String>, sqlx::Error> {
        let noted = self.query(
            "WITH optional AS (
                -- Of a partitioned table it is told as if for that alone.
                SELECT format('%I.%I', schemaname, indexname) AS name,
                    replace(indexdef, ' ON ONLY ', ' ON ') AS indexdef
                FROM pg_indexes
                WHERE schemaname = $3 AND NOT EXISTS (
                    SELECT FROM pg_constraint
                    WHERE conindid = format('%I.%I', schemaname, indexname)::regclass)
             )
             UPDATE projection.versions SET indexes =
                (SELECT coalesce(jsonb_agg(indexdef ORDER BY name), '[]') FROM optional)
             WHERE projection = $1 AND version = $2
             RETURNING ARRAY(SELECT name FROM optional)",
        );
        noted.bind(self.schema()).fetch_one(tx).await?.try_get(0)
    }

    /// How to make one of those indexes that are still to be made.
    pub(crate) async fn next_index(
        &self,
        tx: &mut PgConnection,
    ) -> Result<Option<String>, sqlx::Error> {
        let last = self.query(
            "SELECT indexes ->> -1 FROM projection.versions WHERE projection = $1 AND version = $2",
        );
        last.fetch_one(tx).await?.try_get(0)
    }

    /// Where its tables are.
    #[must_use]
    pub(crate) fn schema(&self) -> String {
        schema_of(&self.projection, self.version)
    }
}

#[must_use]
pub(crate) fn schema_of(projection: &str, version: i32) -> String {
    format!("{projection}_v{version}")
}

/// A version that this code can feed.
#[derive(Clone)]
pub(crate) struct Served {
    pub projection: Projection,
    pub version: i32,
}

impl Served {
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        self.projection.name
    }
}

/// The code that made a version, if this is it.
#[must_use]
pub(crate) fn fold_of<'p>(
    projections: &'p [Projection],
    version: &Version,
) -> Option<&'p Projection> {
    projections.iter().find(|it| it.name == version.projection && it.version == version.fold)
}

/// The versions of a projection that are not dropped; nobody else changes them until the transaction
/// ends.
pub(crate) async fn locked(
    tx: &mut PgConnection,
    projection: &str,
) -> Result<Vec<Version>, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(lock_key(&format!("versions of {projection}")))
        .execute(&mut *tx)
        .await?;
    let mut versions = Version::all(tx).await?;
    versions.retain(|version| version.projection == projection);
    Ok(versions)
}

/// A number for what the servers' advisory locks are about.
#[must_use]
pub(crate) fn lock_key(subject: &str) -> i64 {
    let (high, _) = Uuid::new_v5(&LOCKS, subject.as_bytes()).as_u64_pair();
    high.cast_signed()
}

const LOCKS: Uuid = Uuid::from_u128(0x2b51_7a0c_54e6_4f0e_8d29_9f4b_6a3c_1e75);

#[cfg(test)]
impl Version {
    /// One of which nothing is asked.
    pub(crate) fn sample(projection: &str, version: i32, fold: i32, state: VersionState) -> Self {
        Self { projection: projection.to_owned(), version, fold, state, ..Self::default() }
    }
}
