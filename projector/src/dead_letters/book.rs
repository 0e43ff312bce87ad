//! Dead letters as operators see them.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// Values beyond it are left out of lists; a single letter is always shown whole.
const LISTED_BYTES_MAX: i32 = 16 << 10;
/// Waiting events, and entries of the audit, that are shown with a letter.
const DETAILS_MAX: i64 = 200;

/// An event that a projection could not apply, and with it the later ones of its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    pub id: Uuid,
    #[schema(example = "orders")]
    pub projection: String,
    pub version: i32,
    pub shard: i32,
    /// The stream whose events wait.
    #[schema(example = "order/01890a5d-ac96-774b-bcce-b302099a8057")]
    pub key: String,
    pub state: DeadLetterState,
    /// The event that did not apply, as it stands in the log.
    pub event: ParkedEvent,
    /// Why it did not apply when it was tried last.
    pub error: String,
    #[schema(value_type = String, format = DateTime)]
    pub parked_at: DateTime<Utc>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<DateTime<Utc>>,
    /// Later events of the key that wait behind it.
    pub behind: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterState {
    /// It waits.
    Parked,
    /// It applied when it was tried again.
    Retried,
    /// It applied with another value.
    Edited,
    /// It is passed over.
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParkedEvent {
    pub id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "tradewind.order.placed.v1")]
    pub kind: String,
    pub revision: i64,
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: DateTime<Utc>,
    /// Absent from lists where it is large; a text if it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
}

/// A letter with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetterDetail)]
pub struct Detail {
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// What is read instead of the event's data, if it was edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub correction: Option<Value>,
    /// The first 200 of the key's events that wait, this one included, in order.
    pub waiting: Vec<ParkedEvent>,
    /// What operators did about it: the last 200 entries, newest first.
    pub audit: Vec<AuditEntry>,
}

/// Who did what, when and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[schema(as = DeadLetterAuditEntry)]
pub struct AuditEntry {
    #[schema(value_type = String, format = DateTime)]
    pub at: DateTime<Utc>,
    #[schema(example = "key:01890a5d-ac96-774b-bcce-b302099a8057")]
    pub actor: String,
    /// `retry`, `edit` or `skip`.
    #[schema(example = "edit")]
    pub action: String,
    pub reason: Option<String>,
    pub outcome: String,
    #[schema(value_type = Object)]
    pub before: Value,
    #[schema(value_type = Object)]
    pub after: Value,
}

/// Which letters a list shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub state: Option<DeadLetterState>,
    pub projection: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    projection: String,
    version: i32,
    shard: i32,
    stream: String,
    #[sqlx(try_from = "String")]
    state: DeadLetterState,
    error: String,
    parked_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
    behind: i64,
    #[sqlx(flatten)]
    event: EventRow,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    event_id: Uuid,
    event_type: String,
    revision: i64,
    recorded_at: DateTime<Utc>,
    value: Option<Vec<u8>>,
}

/// A page of letters, newest first, after the one with this time and id.
pub(crate) async fn list(
    database: impl PgExecutor<'_>,
    filter: &Filter,
    after: Option<(DateTime<Utc>, Uuid)>,
    rows_max: i64,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let (parked_at, id) = after.unzip();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT letter.*, (SELECT count(*) FROM projection.parked_events AS event
             WHERE (event.projection, event.version, event.stream)
                 = (letter.projection, letter.version, letter.stream)
                AND letter.state = 'parked'
                AND (event.commit_end, event.place) > (letter.commit_end, letter.place)) AS behind
         FROM (
            SELECT id, projection, version, shard, stream, commit_end, place, state, error,
                parked_at, settled_at, event_id, event_type, revision, recorded_at,
                CASE WHEN octet_length(value) <= $6 THEN value END AS value
            FROM projection.dead_letters
            WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR projection = $2)
                AND ($3::timestamptz IS NULL OR (parked_at, id) < ($3, $4))
            ORDER BY parked_at DESC, id DESC LIMIT $5
         ) AS letter
         ORDER BY parked_at DESC, id DESC",
    )
    .bind(filter.state.map(DeadLetterState::as_str))
    .bind(&filter.projection)
    .bind(parked_at)
    .bind(id)
    .bind(rows_max)
    .bind(LISTED_BYTES_MAX)
    .fetch_all(database)
    .await?;
    Ok(rows.into_iter().map(DeadLetter::from).collect())
}

/// One letter, whole.
pub(crate) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Detail>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, projection, version, shard, stream, state, error, parked_at, settled_at,
            event_id, event_type, revision, recorded_at, value,
            (SELECT count(*) FROM projection.parked_events AS event
             WHERE (event.projection, event.version, event.stream)
                 = (letter.projection, letter.version, letter.stream)
                AND letter.state = 'parked'
                AND (event.commit_end, event.place) > (letter.commit_end, letter.place)) AS behind
         FROM projection.dead_letters AS letter WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?;
    let Some(letter) = row.map(DeadLetter::from) else { return Ok(None) };
    let waiting: Vec<EventRow> = sqlx::query_as(
        "SELECT event_id, event_type, revision, recorded_at,
            CASE WHEN octet_length(value) <= $6 THEN value END AS value
         FROM projection.parked_events
         WHERE (projection, version, stream) = ($1, $2, $3) AND $4 = 'parked'
         ORDER BY commit_end, place LIMIT $5",
    )
    .bind(&letter.projection)
    .bind(letter.version)
    .bind(&letter.key)
    .bind(letter.state.as_str())
    .bind(DETAILS_MAX)
    .bind(LISTED_BYTES_MAX)
    .fetch_all(pool)
    .await?;
    let correction: Option<Option<Vec<u8>>> = sqlx::query_scalar(
        "SELECT value FROM projection.corrections WHERE projection = $1 AND event_id = $2",
    )
    .bind(&letter.projection)
    .bind(letter.event.id)
    .fetch_optional(pool)
    .await?;
    let audit = sqlx::query_as(
        "SELECT at, actor, action, reason, outcome, before, after
         FROM projection.dead_letter_audit WHERE letter = $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(id)
    .bind(DETAILS_MAX)
    .fetch_all(pool)
    .await?;
    Ok(Some(Detail {
        letter,
        correction: correction.flatten().as_deref().map(shown),
        waiting: waiting.into_iter().map(ParkedEvent::from).collect(),
        audit,
    }))
}

/// A stored value for people and tools.
#[must_use]
pub(super) fn shown(value: &[u8]) -> Value {
    serde_json::from_slice(value)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(value).into_owned()))
}

impl From<Row> for DeadLetter {
    fn from(row: Row) -> Self {
        let Row { id, projection, version, shard, stream, state, error, .. } = row;
        let Row { parked_at, settled_at, behind, event, .. } = row;
        let (key, event) = (stream, event.into());
        Self {
            id,
            projection,
            version,
            shard,
            key,
            state,
            event,
            error,
            parked_at,
            settled_at,
            behind,
        }
    }
}

impl From<EventRow> for ParkedEvent {
    fn from(row: EventRow) -> Self {
        let EventRow { event_id, event_type, revision, recorded_at, value } = row;
        let data = value.as_deref().map(shown);
        Self { id: event_id, kind: event_type, revision, recorded_at, data }
    }
}

impl DeadLetterState {
    pub const ALL: [Self; 4] = [Self::Parked, Self::Retried, Self::Edited, Self::Skipped];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Retried => "retried",
            Self::Edited => "edited",
            Self::Skipped => "skipped",
        }
    }
}

impl FromStr for DeadLetterState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| text.to_owned())
    }
}

impl TryFrom<String> for DeadLetterState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
