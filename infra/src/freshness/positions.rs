//! How far each projection has applied each shard.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

#[cfg(test)]
use crate::log::{LogId, Offset};
use crate::postgres::Pool;

/// A read model, by the name that its positions go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Projection(pub &'static str);

impl Projection {
    pub(super) fn find(among: &'static [Self], name: &str) -> Option<Self> {
        among.iter().copied().find(|projection| projection.0 == name)
    }
}

/// One projection in one shard.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
#[schema(as = AppliedPosition)]
pub struct PositionRow {
    #[schema(example = "orders")]
    pub projection: String,
    pub version: i32,
    pub shard: i32,
    /// Tells the log from one that took its place; none before the first event.
    pub log_id: Option<String>,
    /// The offset after the last record that is applied.
    pub next_offset: i64,
    /// The offset after the last record of the shard, as the projector knows it.
    pub log_end: i64,
    /// Records that are still to be applied.
    pub lag_records: i64,
    /// Age of the last applied event while there are records to be applied; otherwise 0.
    pub lag_seconds: f64,
    /// When the last batch was applied.
    #[serde(serialize_with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub applied_at: DateTime<Utc>,
    /// How long ago everything was applied that the log held then, as far as is known: it is as fresh
    /// as that. Nothing while nobody looks at the log, or while more than a few seconds are to be
    /// applied.
    pub level_seconds: Option<f64>,
    /// How long ago the projector looked at the log's end.
    #[serde(skip)]
    pub end_seconds: Option<f64>,
    /// Shards of the log.
    #[serde(skip)]
    pub shard_count: Option<i32>,
}

#[cfg(test)]
impl PositionRow {
    /// Of version 1, applied to the end of its log; nobody has looked how level it is.
    pub(crate) fn sample(
        projection: Projection,
        shard: i32,
        log_id: Option<LogId>,
        next_offset: Offset,
    ) -> Self {
        Self {
            projection: projection.0.to_owned(),
            version: 1,
            shard,
            log_id: log_id.map(|log_id| log_id.to_string()),
            next_offset,
            log_end: next_offset,
            lag_records: 0,
            lag_seconds: 0.0,
            applied_at: DateTime::UNIX_EPOCH,
            level_seconds: None,
            end_seconds: None,
            shard_count: None,
        }
    }
}

/// Like all times: `domain::timestamp` decides how it looks.
fn timestamp<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    domain::timestamp::Timestamp::from(*at).serialize(serializer)
}

/// All of them, by projection and shard.
///
/// # Errors
/// If PostgreSQL cannot answer.
pub async fn positions(pool: &Pool) -> Result<Vec<PositionRow>, sqlx::Error> {
    let rows = sqlx::query_as(
        "SELECT projection, version, shard, log_id, next_offset, log_end,
                greatest(log_end - next_offset, 0) AS lag_records, lag_seconds, applied_at,
                extract(epoch FROM now() - level_at)::double precision AS level_seconds,
                extract(epoch FROM now() - end_seen_at)::double precision AS end_seconds,
                shard_count
         FROM read.positions ORDER BY projection, version, shard",
    );
    rows.fetch_all(pool).await
}

/// Those of the given views that are still to be made.
pub(super) async fn missing(pool: &Pool, views: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    let names = sqlx::query_scalar(
        "SELECT name FROM unnest($1::text[]) AS name
         WHERE to_regclass('read.' || name) IS NULL",
    );
    names.bind(views).fetch_all(pool).await
}
