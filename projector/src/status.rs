//! How far each projection is in each shard, as operators see it.

use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

/// All checkpoints, in the order of projection, version and shard.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    pub items: Vec<Item>,
}

#[derive(Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Item {
    pub projection: String,
    pub version: i32,
    pub shard: i32,
    /// The offset of the record to apply next.
    pub next_offset: i64,
    /// The offset after the last record.
    pub log_end: i64,
    pub lag_records: i64,
    /// Age of what was applied last, if there is more to apply; else 0.
    pub lag_seconds: f64,
    #[sqlx(try_from = "String")]
    pub state: State,
    /// Why it is halted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// At the end of the log.
    Live,
    CatchingUp,
    /// Met an event that it cannot apply, or a log that it cannot read.
    Halted,
    /// No projector serves the shard.
    Unserved,
}

impl State {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::CatchingUp => "catching_up",
            Self::Halted => "halted",
            Self::Unserved => "unserved",
        }
    }
}

impl TryFrom<String> for State {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let all = [Self::Live, Self::CatchingUp, Self::Halted, Self::Unserved];
        all.into_iter().find(|state| state.as_str() == text).ok_or(text)
    }
}

impl Status {
    /// # Errors
    /// If PostgreSQL cannot answer.
    pub async fn read(database: impl PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        let items = sqlx::query_as(
            "SELECT projection, version, shard, at.next_offset, at.log_end,
                GREATEST(at.log_end - at.next_offset, 0) AS lag_records, at.lag_seconds,
                CASE WHEN kept.halted IS NOT NULL THEN 'halted'
                     WHEN kept.seen_at < now() - interval '10 seconds' THEN 'unserved'
                     WHEN at.next_offset < at.log_end THEN 'catching_up'
                     ELSE 'live' END AS state,
                kept.halted AS reason
             FROM projection.checkpoints AS kept
             JOIN read.positions AS at USING (projection, version, shard)
             ORDER BY projection, version, shard",
        )
        .fetch_all(database)
        .await?;
        Ok(Self { items })
    }
}
