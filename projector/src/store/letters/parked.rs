//! The parked keys of a projection in a shard, as a writer of batches knows them, and how it adds to them.

use std::sync::Arc;

use domain::{
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
};
use infra::log::Offset;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::corrections::{Corrections, stored_stream};
use crate::{
    event::{Origin, RecordedEvent, decode},
    store::{checkpoints::CheckpointRow, versions::Version},
};

/// Namespace of the ids of dead letters: the same event gets the same one if it is parked again.
const IDS: Uuid = Uuid::from_u128(0x2f1d_9c70_6b0e_4f5a_8c3e_7a54_90d1_e6b3);
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 2_000;

/// What is parked and corrected in a shard, as of a value of the checkpoint's `letters`.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters {
    /// How often operators had changed it.
    pub changes: i64,
    keys: FxHashSet<StreamId>,
    /// Events of these keys that wait.
    events: usize,
    pub corrections: Corrections,
}

/// Where an event stands in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventPosition {
    /// The offset after its commit.
    pub commit_end: Offset,
    /// Its index in the commit.
    pub index: i32,
}

/// An event to be parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventToPark<'f> {
    pub position: EventPosition,
    pub event: &'f RecordedEvent,
}

/// An event that did not apply.
#[derive(Clone, Debug)]
pub(crate) struct NewDeadLetter<'f> {
    pub parked: EventToPark<'f>,
    pub error: String,
}

/// What a batch parks.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventsToPark<'f> {
    /// Of keys that were not parked before.
    pub letters: Vec<NewDeadLetter<'f>>,
    /// All events, those of the letters included.
    pub events: Vec<EventToPark<'f>>,
}

/// What a batch has added to what is parked.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewlyParked {
    keys: Vec<StreamId>,
    events: usize,
}

/// An event's origin as it is stored. Those that earlier releases have parked have none.
#[derive(Serialize, Deserialize)]
struct NotedOrigin {
    seq: u64,
    index: u32,
    command_id: CommandId,
    correlation_id: CorrelationId,
    causation_id: CausationId,
    actor: Arc<str>,
}

impl From<&Origin> for NotedOrigin {
    fn from(Origin { seq, index, provenance, .. }: &Origin) -> Self {
        let Provenance { command_id, correlation_id, causation_id, .. } = *provenance;
        let (seq, index, actor) = (*seq, *index, Arc::clone(&provenance.actor));
        Self { seq, index, command_id, correlation_id, causation_id, actor }
    }
}

impl NotedOrigin {
    fn at(self, commit_end: Offset) -> Origin {
        let Self { seq, index, command_id, correlation_id, causation_id, actor } = self;
        let provenance =
            Provenance { command_id, correlation_id, causation_id, actor, traceparent: None };
        Origin { commit_end, seq, index, provenance }
    }
}

impl DeadLetters {
    /// What is stored. `changes` must have been read before: the more that is found, the more a
    /// batch is held up by its compare-and-set, never the less.
    pub(crate) async fn load(
        pool: &PgPool,
        row: &CheckpointRow,
        changes: i64,
    ) -> Result<Self, sqlx::Error> {
        let parked = row.query(
            "SELECT stream, count(*) FROM projection.parked_events
             WHERE projection = $1 AND version = $2 AND shard = $3 GROUP BY stream",
        );
        let parked = parked.fetch_all(pool).await?;
        let corrections = Corrections::load(pool, row.projection, row.version, row.shard).await?;
        let mut found = Self { changes, corrections, ..Self::default() };
        for key in parked {
            found.keys.insert(stored_stream(key.try_get(0)?)?);
            found.events += usize::try_from(key.try_get::<i64, _>(1)?).unwrap_or(usize::MAX);
        }
        Ok(found)
    }

    /// Whether the events of this key wait.
    #[must_use]
    pub(crate) fn holds(&self, key: &StreamId) -> bool {
        !self.keys.is_empty() && self.keys.contains(key)
    }

    /// Events that wait.
    #[must_use]
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// Takes over what a batch has parked.
    pub(crate) fn add(&mut self, NewlyParked { keys, events }: NewlyParked) {
        self.keys.extend(keys);
        self.events += events;
    }
}

impl NewlyParked {
    #[must_use]
    pub(crate) fn is_some(&self) -> bool {
        self.events > 0
    }
}

impl EventsToPark<'_> {
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Writes it, in the transaction of the batch.
    pub(crate) async fn write(
        &self,
        tx: &mut PgConnection,
        row: &CheckpointRow,
    ) -> Result<(), sqlx::Error> {
        for letter in &self.letters {
            letter.write(tx, row).await?;
        }
        let events = &self.events;
        row.query(
            "INSERT INTO projection.parked_events
             SELECT $1, $2, $3, * FROM UNNEST($4::text[], $5::bigint[], $6::int[], $7::uuid[],
                $8::text[], $9::bigint[], $10::timestamptz[], $11::bytea[], $12::jsonb[])",
        )
        .bind(column(events, |it| it.event.stream.as_str()))
        .bind(column(events, |it| it.position.commit_end))
        .bind(column(events, |it| it.position.index))
        .bind(column(events, |it| it.event.id.uuid()))
        .bind(column(events, |it| &*it.event.event_type))
        .bind(column(events, |it| it.event.revision))
        .bind(column(events, |it| it.event.recorded_at))
        .bind(column(events, |it| &*it.event.value))
        .bind(column(events, |it| Json(NotedOrigin::from(&it.event.origin))))
        .execute(tx)
        .await?;
        Ok(())
    }

    #[must_use]
    pub(crate) fn added(&self) -> NewlyParked {
        let keys = self.letters.iter().map(|letter| letter.parked.event.stream.clone()).collect();
        NewlyParked { keys, events: self.events.len() }
    }

    /// Puts the events that are parked together in the order of the log.
    pub(crate) fn sort(&mut self) {
        self.events.sort_by_key(|it| it.position);
    }
}

impl NewDeadLetter<'_> {
    /// The letter's id.
    #[must_use]
    pub(crate) fn id(&self, row: &CheckpointRow) -> Uuid {
        let name = format!("{}/{}/{}", row.projection, row.version, self.parked.event.id);
        Uuid::new_v5(&IDS, name.as_bytes())
    }

    /// Writes the letter. One of the same event that was settled is parked again: the events that
    /// followed it may have been applied, and the model made anew since.
    pub(crate) async fn write(
        &self,
        tx: &mut PgConnection,
        row: &CheckpointRow,
    ) -> Result<(), sqlx::Error> {
        let EventToPark { position, event } = self.parked;
        row.query(
            "INSERT INTO projection.dead_letters (projection, version, shard, id, stream,
                commit_end, place, event_id, event_type, revision, recorded_at, value, state, error)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'parked', $13)
             ON CONFLICT (id) DO UPDATE SET state = 'parked', error = excluded.error,
                parked_at = now(), settled_at = NULL",
        )
        .bind(self.id(row))
        .bind(event.stream.as_str())
        .bind(position.commit_end)
        .bind(position.index)
        .bind(event.id.uuid())
        .bind(&*event.event_type)
        .bind(event.revision)
        .bind(event.recorded_at)
        .bind(&*event.value)
        .bind(storable(&self.error))
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// The events of a key that wait, in order.
pub(crate) async fn waiting(
    tx: &mut PgConnection,
    row: &CheckpointRow,
    stream: &str,
) -> Result<Vec<(EventPosition, RecordedEvent)>, sqlx::Error> {
    let found = row.query(
        "SELECT commit_end, place, event_id, event_type, revision, recorded_at, value, origin
         FROM projection.parked_events
         WHERE (projection, version, stream) = ($1, $2, $4) AND shard = $3
         ORDER BY commit_end, place",
    );
    let found = found.bind(stream).fetch_all(tx).await?;
    let stream = stored_stream(stream)?;
    let event = |row: &PgRow| {
        let event_type: Arc<str> = row.try_get::<&str, _>("event_type")?.into();
        let value: &[u8] = row.try_get("value")?;
        let (commit_end, index) = (row.try_get("commit_end")?, row.try_get("place")?);
        let origin: Option<Json<NotedOrigin>> = row.try_get("origin")?;
        let origin = origin.map_or_else(Origin::none, |Json(noted)| noted.at(commit_end));
        let event = RecordedEvent {
            id: EventId::new(row.try_get("event_id")?),
            stream: stream.clone(),
            revision: row.try_get("revision")?,
            recorded_at: row.try_get("recorded_at")?,
            decoded: decode(&event_type, &stream, value),
            event_type,
            value: value.to_vec().into(),
            origin,
        };
        Ok((EventPosition { commit_end, index }, event))
    };
    found.iter().map(event).collect()
}

/// Removes the parked events of a key before the position, or all of them.
pub(crate) async fn forget(
    tx: &mut PgConnection,
    row: &CheckpointRow,
    stream: &str,
    before: Option<EventPosition>,
) -> Result<(), sqlx::Error> {
    let forgotten = row.query(
        "DELETE FROM projection.parked_events
         WHERE (projection, version, stream) = ($1, $2, $4) AND shard = $3
            AND ($5::bigint IS NULL OR (commit_end, place) < ($5, $6))",
    );
    let (commit_end, index) = before.map(|it| (it.commit_end, it.index)).unzip();
    forgotten.bind(stream).bind(commit_end).bind(index).execute(tx).await.map(drop)
}

/// Where the events that wait begin, by key.
pub(crate) async fn first_parked(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
) -> Result<FxHashMap<String, Offset>, sqlx::Error> {
    let parked = sqlx::query_as(
        "SELECT stream, min(commit_end) FROM projection.parked_events
         WHERE projection = $1 AND version = $2 GROUP BY stream",
    );
    let parked = parked.bind(projection).bind(version).fetch_all(connection).await?;
    Ok(parked.into_iter().collect())
}

/// Nothing waits any more for a version that is dropped. What was settled is kept, as is the audit.
pub(crate) async fn forget_version(
    tx: &mut PgConnection,
    version: &Version,
) -> Result<(), sqlx::Error> {
    let sql = "WITH waiting AS (
            DELETE FROM projection.parked_events WHERE projection = $1 AND version = $2)
         DELETE FROM projection.dead_letters
         WHERE projection = $1 AND version = $2 AND state = 'parked'";
    version.run(tx, sql).await
}

/// An error as a column takes it: PostgreSQL has no NUL in texts.
#[must_use]
pub(crate) fn storable(error: &str) -> String {
    error.chars().filter(|&c| c != '\0').take(ERROR_CHARS_MAX).collect()
}

/// One column of many rows, to be bound as an array for `UNNEST`.
fn column<'r, R, T>(rows: &'r [R], field: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}
