//! Dead letters as operators see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgPool, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::names::named;

/// Values beyond it are left out of lists; a single letter is always shown whole.
const LISTED_BYTES_MAX: i32 = 16 << 10;
/// Waiting events, and entries of the audit, that are shown with a letter.
const DETAILS_MAX: i64 = 200;

/// An event that a projection could not apply, and with it the later ones of its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, FromRow)]
pub struct DeadLetter {
    pub id: Uuid,
    #[schema(example = "orders")]
    pub projection: String,
    pub version: i32,
    pub shard: i32,
    /// The stream whose events wait.
    #[schema(example = "order/01890a5d-ac96-774b-bcce-b302099a8057")]
    #[sqlx(rename = "stream")]
    pub key: String,
    #[sqlx(try_from = "String")]
    pub state: DeadLetterState,
    /// The event that did not apply, as it stands in the log.
    #[sqlx(flatten)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, FromRow)]
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

/// Letters, each with the number of events that wait behind it, without values of more than $1 bytes.
const LETTERS: &str = "SELECT id, projection, version, shard, stream, state, error, parked_at,
        settled_at, event_id, event_type, revision, recorded_at,
        CASE WHEN octet_length(value) <= $1 THEN value END AS value,
        (SELECT count(*) FROM projection.parked_events AS event
         WHERE (event.projection, event.version, event.stream)
             = (letter.projection, letter.version, letter.stream)
            AND letter.state = 'parked'
            AND (event.commit_end, event.place) > (letter.commit_end, letter.place)) AS behind
     FROM projection.dead_letters AS letter";

/// A page of letters, newest first, after the one with this time and id.
pub(crate) async fn list(
    pool: &PgPool,
    filter: &Filter,
    after: Option<(DateTime<Utc>, Uuid)>,
    rows_max: i64,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let (parked_at, id) = after.unzip();
    let sql = format!(
        "{LETTERS}
         WHERE ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR projection = $3)
            AND ($4::timestamptz IS NULL OR (parked_at, id) < ($4, $5))
         ORDER BY parked_at DESC, id DESC LIMIT $6"
    );
    sqlx::query_as(AssertSqlSafe(sql))
        .bind(LISTED_BYTES_MAX)
        .bind(filter.state.map(DeadLetterState::as_str))
        .bind(&filter.projection)
        .bind(parked_at)
        .bind(id)
        .bind(rows_max)
        .fetch_all(pool)
        .await
}

/// One letter, whole.
pub(crate) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Detail>, sqlx::Error> {
    let letter = sqlx::query_as(AssertSqlSafe(format!("{LETTERS} WHERE id = $2")));
    let letter: Option<DeadLetter> = letter.bind(i32::MAX).bind(id).fetch_optional(pool).await?;
    let Some(letter) = letter else { return Ok(None) };
    let waiting = sqlx::query_as(
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
    let correction = sqlx::query_scalar(
        "SELECT value FROM projection.corrections WHERE projection = $1 AND event_id = $2",
    );
    let correction = correction.bind(&letter.projection).bind(letter.event.id);
    let correction: Option<Option<Vec<u8>>> = correction.fetch_optional(pool).await?;
    let audit = sqlx::query_as(
        "SELECT at, actor, action, reason, outcome, before, after
         FROM projection.dead_letter_audit WHERE letter = $1 ORDER BY id DESC LIMIT $2",
    );
    let audit = audit.bind(id).bind(DETAILS_MAX).fetch_all(pool).await?;
    let correction = correction.flatten().as_deref().map(shown);
    Ok(Some(Detail { letter, correction, waiting, audit }))
}

/// A stored value for people and tools.
#[must_use]
pub(crate) fn shown(value: &[u8]) -> Value {
    serde_json::from_slice(value)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(value).into_owned()))
}

impl FromRow<'_, PgRow> for ParkedEvent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let value: Option<Vec<u8>> = row.try_get("value")?;
        Ok(Self {
            id: row.try_get("event_id")?,
            kind: row.try_get("event_type")?,
            revision: row.try_get("revision")?,
            recorded_at: row.try_get("recorded_at")?,
            data: value.as_deref().map(shown),
        })
    }
}

named!(DeadLetterState {
    Parked => "parked",
    Retried => "retried",
    Edited => "edited",
    Skipped => "skipped",
});
