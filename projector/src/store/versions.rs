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

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use infra::{
    postgres::{Pool, errors::code},
    telemetry::chain,
};
use read_models::Projection;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, SqlSafeStr, SqlStr, types::Json};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tracing::warn;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::names::named;

/// The columns of a [`Version`]. Not `*`: a release that adds one would change the answers to statements
/// that older ones have prepared.
pub(crate) const COLUMNS: &str = "projection, version, fold, state, paused, throttle, verify,
    verification, switch, replaced, problem, corrections_since, created_at, changed_at";

/// One version of a projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
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
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Reads the log in bulk, into tables without indexes that a crash of PostgreSQL empties.
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

    /// Sets columns of a version.
    pub(crate) async fn set(
        database: impl PgExecutor<'_>,
        projection: &str,
        version: i32,
        columns: &str,
    ) -> Result<Self, sqlx::Error> {
        let sql = format!(
            "UPDATE projection.versions SET {columns}
             WHERE projection = $1 AND version = $2 RETURNING {COLUMNS}"
        );
        sqlx::query_as(AssertSqlSafe(sql)).bind(projection).bind(version).fetch_one(database).await
    }
}

/// This release, as it is compared with others.
pub(crate) const RELEASE: [i32; 3] = [
    number(env!("CARGO_PKG_VERSION_MAJOR")),
    number(env!("CARGO_PKG_VERSION_MINOR")),
    number(env!("CARGO_PKG_VERSION_PATCH")),
];

const fn number(text: &str) -> i32 {
    match i32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => 0,
    }
}

/// Where the tables of a version are.
#[must_use]
pub(crate) fn schema_of(projection: &str, version: i32) -> String {
    format!("{projection}_v{version}")
}

/// Puts the schema's name where the text says `{schema}`. Both come from this program's constants.
#[must_use]
pub(crate) fn in_schema(text: &'static str, schema: &str) -> SqlStr {
    AssertSqlSafe(text.replace("{schema}", schema)).into_sql_str()
}

/// The views of a version as they are kept beside it: whoever switches to it later may run other
/// code than the one that made it.
#[must_use]
pub(crate) fn views(projection: &Projection, version: i32) -> Json<Vec<(String, String)>> {
    let schema = schema_of(projection.name, version);
    let view = |(name, query): &(&str, &'static str)| {
        let query = in_schema(query, &schema);
        ((*name).to_owned(), query.as_str().to_owned())
    };
    Json(projection.views.iter().map(view).collect())
}

/// Makes readers see these views.
///
/// # Errors
/// If PostgreSQL cannot answer, or somebody reads the old ones for longer than a lock is waited for.
pub(crate) async fn show(
    tx: &mut PgConnection,
    views: &[(String, String)],
) -> Result<(), sqlx::Error> {
    for (name, query) in views {
        // A view that only gets more columns stays the same one for those who read it.
        let replaced = sqlx::raw_sql(AssertSqlSafe(format!(
            "SAVEPOINT view; CREATE OR REPLACE VIEW read.{name} AS {query}; RELEASE view"
        )))
        .execute(&mut *tx)
        .await;
        let made = match replaced {
            Err(error) if has_other_columns(&error) => {
                format!(
                    "ROLLBACK TO view; DROP VIEW read.{name}; CREATE VIEW read.{name} AS {query};"
                )
            }
            other => other.map(|_| String::new())?,
        };
        sqlx::raw_sql(AssertSqlSafe(format!(
            "{made} GRANT SELECT ON read.{name} TO tradewind_query, tradewind_projector"
        )))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// `CREATE OR REPLACE VIEW` refuses to take columns away, to rename them or to change their types.
fn has_other_columns(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("42P16")
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

/// All versions of a projection, dropped ones included; nobody else changes them until the
/// transaction ends.
pub(crate) async fn locked(
    tx: &mut PgConnection,
    projection: &str,
) -> Result<Vec<Version>, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(lock_key(&format!("versions of {projection}")))
        .execute(&mut *tx)
        .await?;
    let sql =
        format!("SELECT {COLUMNS} FROM projection.versions WHERE projection = $1 ORDER BY version");
    sqlx::query_as(AssertSqlSafe(sql)).bind(projection).fetch_all(tx).await
}

/// Until what another process has changed is known here. Nothing depends on it for safety.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// What this process knows of the versions: read again twice a second, and at once after it has changed
/// something itself. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Watch {
    pool: Pool,
    known: Arc<watch::Sender<Arc<[Version]>>>,
    hurry: Arc<Notify>,
}

impl Watch {
    /// Knows nothing until it runs.
    #[must_use]
    pub(crate) fn new(pool: Pool) -> Self {
        let known = Arc::new(watch::Sender::new(Arc::from([])));
        Self { pool, known, hurry: Arc::default() }
    }

    #[must_use]
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<[Version]>> {
        self.known.subscribe()
    }

    #[must_use]
    pub(crate) fn known(&self) -> Arc<[Version]> {
        Arc::clone(&self.known.borrow())
    }

    /// Something has changed: read again now.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut failed = false;
        loop {
            match Version::all(&self.pool).await {
                Ok(versions) => {
                    failed = false;
                    self.tell(versions);
                }
                // Those who feed versions meet the same error, and act on it.
                Err(error) if !failed => {
                    failed = true;
                    warn!("cannot read the versions of projections: {}", chain(&error));
                }
                Err(_) => {}
            }
            timeout(WATCH_INTERVAL, self.hurry.notified()).await.ok();
        }
    }

    fn tell(&self, versions: Vec<Version>) {
        self.known.send_if_modified(|known| {
            let changed = **known != *versions;
            if changed {
                *known = versions.into();
            }
            changed
        });
    }
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
        Self {
            projection: projection.to_owned(),
            version,
            fold,
            state,
            paused: false,
            throttle: None,
            verify: false,
            verification: None,
            switch: false,
            replaced: None,
            problem: None,
            corrections_since: None,
            created_at: DateTime::UNIX_EPOCH,
            changed_at: DateTime::UNIX_EPOCH,
        }
    }
}
