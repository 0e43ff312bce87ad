//! The journal: the events of one stream, and the streams that have changed.
//!
//! Events are lifted to the newest version of their types as they come out of their rows.
//!
//! **Invariant:** events are only added, so that pages that are read one after the other fit together.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{StreamType, id::StreamId, timestamp::Timestamp};
use infra::codec;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, FromRow, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{ReadError, ReadModel, error::in_time};

/// Which way a stream is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// From its first event on.
    #[default]
    Asc,
    /// From its last one back.
    Desc,
}

/// An event of the journal, in the newest version of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) revision: i64,
    pub(crate) id: Uuid,
    pub(crate) event_type: Arc<str>,
    pub(crate) recorded_at: Timestamp,
    pub(crate) shard: i32,
    pub(crate) next_offset: i64,
    pub(crate) seq: i64,
    pub(crate) index: i32,
    pub(crate) command_id: Uuid,
    pub(crate) correlation_id: Uuid,
    pub(crate) causation_id: Uuid,
    pub(crate) actor: String,
    pub(crate) data: Bytes,
}

#[derive(FromRow)]
struct EventRow {
    revision: i64,
    id: Uuid,
    r#type: String,
    recorded_at: DateTime<Utc>,
    shard: i32,
    next_offset: i64,
    seq: i64,
    index: i32,
    command_id: Uuid,
    correlation_id: Uuid,
    causation_id: Uuid,
    actor: String,
    data: String,
}

/// A stream by its last event.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct StreamRow {
    pub(crate) key: String,
    pub(crate) revision: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) changed_at: DateTime<Utc>,
}

/// Events that are looked at for one page of streams.
const CANDIDATES_MAX: i64 = 5_000;

/// Where a page of streams ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamAfter(Timestamp, String);

impl StreamRow {
    pub(crate) fn after(&self) -> StreamAfter {
        StreamAfter(self.changed_at.into(), self.key.clone())
    }
}

impl From<EventRow> for Kept {
    fn from(row: EventRow) -> Self {
        let (event_type, data) = codec::newest(&row.r#type.into(), &row.data.into());
        Self {
            revision: row.revision,
            id: row.id,
            event_type,
            recorded_at: row.recorded_at.into(),
            shard: row.shard,
            next_offset: row.next_offset,
            seq: row.seq,
            index: row.index,
            command_id: row.command_id,
            correlation_id: row.correlation_id,
            causation_id: row.causation_id,
            actor: row.actor,
            data,
        }
    }
}

/// The events of a stream, behind the revision where there is one.
fn events_statement(direction: Direction) -> String {
    let (beyond, order) = match direction {
        Direction::Asc => (">", "ASC"),
        Direction::Desc => ("<", "DESC"),
    };
    format!(
        "SELECT revision, id, type, recorded_at, shard, next_offset, seq, index, command_id,
                correlation_id, causation_id, actor, data::text AS data
         FROM read.events
         WHERE key = $1 AND kind = $2 AND ($3::bigint IS NULL OR revision {beyond} $3)
         ORDER BY revision {order} LIMIT $4"
    )
}

/// A stream's last event is the one that no other follows on, which is looked for in the months that can have
/// it: clocks of nodes do not differ by a day. Its first one has the least revision. Those
/// that changed first come first. So many events are looked at: of goods that sell all day none may be a last one.
fn streams_statement(
    kind: StreamType,
    changed_after: Option<Timestamp>,
    after: Option<&StreamAfter>,
    up_to: Option<&StreamAfter>,
    rows_max: i64,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "SELECT last.key, last.revision, last.recorded_at AS changed_at,
                (SELECT recorded_at FROM read.events AS first
                 WHERE first.key = last.key AND first.kind = last.kind
                 ORDER BY first.revision LIMIT 1) AS created_at
         FROM read.events AS last
         WHERE last.kind = ",
    );
    push_candidates(&mut sql, kind, changed_after, after);
    if let Some(StreamAfter(at, key)) = up_to {
        sql.push(" AND last.recorded_at <= ").push_bind(at.to_datetime());
        sql.push(" AND (last.recorded_at, last.key) <= (").push_bind(at.to_datetime());
        sql.push(", ").push_bind(key.clone()).push(")");
    }
    sql.push(
        " AND NOT EXISTS (SELECT FROM read.events AS next
            WHERE next.key = last.key AND next.kind = last.kind AND next.revision > last.revision
                AND next.recorded_at >= last.recorded_at - interval '1 day')
         ORDER BY last.recorded_at, last.key LIMIT ",
    );
    sql.push_bind(rows_max);
    sql
}

/// The event up to which one page looks.
fn candidates_statement(
    kind: StreamType,
    changed_after: Option<Timestamp>,
    after: Option<&StreamAfter>,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "SELECT last.recorded_at, last.key FROM read.events AS last WHERE last.kind = ",
    );
    push_candidates(&mut sql, kind, changed_after, after);
    sql.push(" ORDER BY last.recorded_at, last.key LIMIT 1 OFFSET ").push_bind(CANDIDATES_MAX - 1);
    sql
}

fn push_candidates(
    sql: &mut QueryBuilder<Postgres>,
    kind: StreamType,
    changed_after: Option<Timestamp>,
    after: Option<&StreamAfter>,
) {
    sql.push_bind(kind.as_str());
    if let Some(at) = changed_after {
        sql.push(" AND last.recorded_at > ").push_bind(at.to_datetime());
    }
    if let Some(StreamAfter(changed_at, key)) = after {
        // The index leads to the instant.
        sql.push(" AND last.recorded_at >= ").push_bind(changed_at.to_datetime());
        sql.push(" AND (last.recorded_at, last.key) > (").push_bind(changed_at.to_datetime());
        sql.push(", ").push_bind(key.clone()).push(")");
    }
}

impl ReadModel {
    /// So many events of a stream at most.
    pub(crate) async fn events(
        &self,
        stream: &StreamId,
        direction: Direction,
        beyond: Option<i64>,
        rows_max: i64,
    ) -> Result<Vec<Kept>, ReadError> {
        let rows = in_time(events(&self.pool, stream, direction, beyond, rows_max)).await?;
        Ok(rows.into_iter().map(Kept::from).collect())
    }

    /// The revision of a stream's last event.
    pub(crate) async fn last_revision(&self, stream: &StreamId) -> Result<Option<i64>, ReadError> {
        let last = in_time(events(&self.pool, stream, Direction::Desc, None, 1)).await?;
        Ok(last.first().map(|event| event.revision))
    }

    /// Streams by when they changed last, those that changed first to begin with; and up to where was looked, if
    /// there are events beyond.
    pub(crate) async fn streams(
        &self,
        kind: StreamType,
        changed_after: Option<Timestamp>,
        after: Option<&StreamAfter>,
        rows_max: i64,
    ) -> Result<(Vec<StreamRow>, Option<StreamAfter>), ReadError> {
        let mut sql = candidates_statement(kind, changed_after, after);
        let up_to = sql.build_query_as::<(DateTime<Utc>, String)>().fetch_optional(&self.pool);
        let up_to = in_time(up_to).await?.map(|(at, key)| StreamAfter(at.into(), key));
        let mut sql = streams_statement(kind, changed_after, after, up_to.as_ref(), rows_max);
        let streams = in_time(sql.build_query_as().fetch_all(&self.pool)).await?;
        Ok((streams, up_to))
    }
}

async fn events(
    pool: &PgPool,
    stream: &StreamId,
    direction: Direction,
    beyond: Option<i64>,
    rows_max: i64,
) -> Result<Vec<EventRow>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(events_statement(direction)))
        .bind(stream.key())
        .bind(stream.stream_type().map(StreamType::as_str))
        .bind(beyond)
        .bind(rows_max)
        .fetch_all(pool)
        .await
}
