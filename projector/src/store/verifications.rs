//! Verifications that were asked for, in a table, and what they have found.
//!
//! **Invariant:** a verification that has ended stays ended, even if a projector still works on it.

use chrono::{DateTime, Utc};
use infra::postgres::Pool;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::versions::Version;
use crate::names::named;

/// Finished ones that are kept of each projection.
const KEPT_MAX: i64 = 20;
/// Differences that a report names; more are counted.
const NAMED_MAX: usize = 100;

/// One verification of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, FromRow)]
pub struct Verification {
    pub id: Uuid,
    #[schema(example = "orders")]
    pub projection: String,
    pub version: i32,
    /// About so many keys are looked at; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<i32>,
    #[sqlx(try_from = "String")]
    pub state: VerificationState,
    /// From 0 to 1.
    pub progress: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[sqlx(json(nullable))]
    pub report: Option<Report>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationState {
    Waiting,
    Running,
    /// The rows are what the log makes of them.
    Equal,
    Different,
    /// It could not be found out.
    Failed,
}

/// What a verification found, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Events of the log that were folded.
    pub events: u64,
    /// Streams whose next event does not fit: their rows are compared as they were before it.
    pub stopped: u64,
    pub tables: Vec<TableReport>,
    /// The first hundred.
    pub differences: Vec<Difference>,
}

/// What was compared of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableReport {
    pub table: String,
    /// Rows that the log makes.
    pub rows_expected: u64,
    pub rows_found: u64,
    /// The same for the same rows in any order.
    pub checksum_expected: String,
    pub checksum_found: String,
    /// Rows that differ, are missing or should not be there.
    pub rows_differing: u64,
}

/// One column of one row that is not what the log makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    #[schema(example = "orders")]
    pub table: String,
    /// The primary key, its columns joined by commas.
    pub key: String,
    /// Absent if the whole row is missing or should not be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Absent if there should be nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// Absent if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Value>,
}

impl VerificationState {
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Equal | Self::Different | Self::Failed)
    }
}

named!(VerificationState {
    Waiting => "waiting",
    Running => "running",
    Equal => "equal",
    Different => "different",
    Failed => "failed",
});

impl Verification {
    /// Puts one in line, and forgets old ones.
    pub(crate) async fn request(
        pool: &Pool,
        version: &Version,
        sample: Option<i32>,
    ) -> Result<Self, sqlx::Error> {
        sqlx::query_as(
            "WITH forgotten AS (
                DELETE FROM projection.verifications WHERE id IN (
                    SELECT id FROM projection.verifications
                    WHERE projection = $2 AND finished_at IS NOT NULL
                    ORDER BY created_at DESC OFFSET $5))
             INSERT INTO projection.verifications (id, projection, version, sample, state)
             VALUES ($1, $2, $3, $4, 'waiting') RETURNING *",
        )
        .bind(Uuid::now_v7())
        .bind(&version.projection)
        .bind(version.version)
        .bind(sample)
        .bind(KEPT_MAX)
        .fetch_one(pool)
        .await
    }

    pub(crate) async fn find(pool: &Pool, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        let found = sqlx::query_as("SELECT * FROM projection.verifications WHERE id = $1");
        found.bind(id).fetch_optional(pool).await
    }

    /// The one of all rows that was requested last.
    pub(crate) async fn last(pool: &Pool, version: &Version) -> Result<Option<Self>, sqlx::Error> {
        let last = version.query(
            "SELECT * FROM projection.verifications
             WHERE projection = $1 AND version = $2 AND sample IS NULL
             ORDER BY created_at DESC LIMIT 1",
        );
        last.fetch_optional(pool).await?.as_ref().map(Self::from_row).transpose()
    }

    pub(crate) async fn unfinished(pool: &Pool) -> Result<Vec<Self>, sqlx::Error> {
        sqlx::query_as(
            "SELECT * FROM projection.verifications WHERE state IN ('waiting', 'running')
             ORDER BY created_at",
        )
        .fetch_all(pool)
        .await
    }

    /// Whether it is still to be done: another projector may have read the line before this one took
    /// it out, or the other way round.
    pub(crate) async fn set_progress(
        &self,
        pool: &Pool,
        progress: f64,
    ) -> Result<bool, sqlx::Error> {
        let told = sqlx::query(
            "UPDATE projection.verifications SET state = 'running', progress = $2
             WHERE id = $1 AND finished_at IS NULL",
        );
        let told = told.bind(self.id).bind(progress).execute(pool).await?;
        Ok(told.rows_affected() > 0)
    }

    /// The first end stands.
    pub(crate) async fn finish(
        &self,
        pool: &Pool,
        state: VerificationState,
        report: Option<&Report>,
        problem: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        let ended = sqlx::query(
            "UPDATE projection.verifications
             SET state = $2, report = $3, problem = $4, progress = 1, finished_at = now()
             WHERE id = $1 AND finished_at IS NULL",
        );
        let ended = ended.bind(self.id).bind(state.as_str()).bind(report.map(Json)).bind(problem);
        ended.execute(pool).await.map(drop)
    }
}

impl Report {
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.rows_differing == 0)
    }

    /// In one line, for logs.
    #[must_use]
    pub fn summary(&self) -> String {
        let rows: u64 = self.tables.iter().map(|table| table.rows_expected).sum();
        let differing: u64 = self.tables.iter().map(|table| table.rows_differing).sum();
        format!("{differing} of {rows} rows differ from the fold of {} events", self.events)
    }

    pub(crate) fn name(&mut self, difference: Difference) {
        if self.differences.len() < NAMED_MAX {
            self.differences.push(difference);
        }
    }
}
