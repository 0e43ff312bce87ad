//! How far each projection is in each shard, as operators see it.

use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::{names::named, store::versions::Version};

/// All versions, and their checkpoints, in the order of projection, version and shard.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub versions: Vec<Version>,
    pub items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
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
    /// Records per second that it has passed lately.
    pub rate: f64,
    #[sqlx(try_from = "String")]
    pub state: State,
    /// Why it is halted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

named!(State {
    Live => "live",
    CatchingUp => "catching_up",
    Halted => "halted",
    Unserved => "unserved",
});

/// How far all shards of a version are together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    pub passed: i64,
    pub all: i64,
    pub rate: f64,
}

impl Status {
    pub async fn read(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let versions = Version::all(pool).await?;
        let items = sqlx::query_as(
            "SELECT projection, version, shard, next_offset, log_end,
                GREATEST(log_end - next_offset, 0) AS lag_records,
                CASE WHEN next_offset >= log_end THEN 0::double precision
                     ELSE extract(epoch FROM now() - coalesce(last_event_at, applied_at))
                         ::double precision END AS lag_seconds,
                CASE WHEN metered_at > now() - interval '5 seconds' THEN rate
                     ELSE 0::double precision END AS rate,
                CASE WHEN halted IS NOT NULL THEN 'halted'
                     WHEN seen_at < now() - interval '10 seconds' THEN 'unserved'
                     WHEN next_offset < log_end THEN 'catching_up'
                     ELSE 'live' END AS state,
                halted AS reason
             FROM projection.checkpoints JOIN projection.versions USING (projection, version)
             WHERE versions.state <> 'dropped'
             ORDER BY projection, version, shard",
        )
        .fetch_all(pool)
        .await?;
        Ok(Self { versions, items })
    }

    /// The version of that number.
    #[must_use]
    pub fn version(&self, projection: &str, version: i32) -> Option<&Version> {
        self.versions.iter().find(|it| it.projection == projection && it.version == version)
    }

    #[must_use]
    pub fn progress(&self, projection: &str, version: i32) -> Progress {
        let mut sum = Progress::default();
        for item in &self.items {
            if item.projection == projection && item.version == version {
                sum.passed += item.next_offset;
                sum.all += item.log_end;
                sum.rate += item.rate;
            }
        }
        sum
    }
}
