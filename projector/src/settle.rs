//! What operators do with a dead letter: have its key's events tried again, as they are, with
//! another value for the one that did not apply, or without it.
//!
//! One transaction, which begins by holding the checkpoint (`store/letters.rs` says why that is enough):
//! the correction, the rows that follow from the events, what still waits, and the audit.
//!
//! **Invariant:** if the event that did not apply still does not, nothing changes but the error and
//! the audit. If one behind it does not, those before it are applied and it becomes a letter itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::shard::ShardId;
use infra::telemetry::chain;
use read_models::Projection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use tracing::warn;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    apply::isolate::{Isolation, Misfit},
    event::{CorrectedEvent, decode},
    store::{
        checkpoints::CheckpointRow,
        letters::{
            Act, Corrections, DeadLetterState, Decision, Detail, EventPosition, EventToPark,
            NewDeadLetter, find, forget, shown, storable, stored_stream, waiting,
        },
    },
};

/// Corrections of one projection in one shard; whoever folds there holds them in memory.
const CORRECTIONS_MAX: i64 = 10_000;

/// What came of it
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetterOutcome)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    pub letter: Detail,
    /// Events of the key that wait no more.
    pub settled_events: usize,
    /// The letter of a later event of the key that does not apply, if there is one.
    pub next: Option<Uuid>,
}

/// How many events wait no more, and the letter of the next one that does not apply.
struct Settled {
    events: usize,
    next: Option<Uuid>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    #[error("there is no such dead letter")]
    NotFound,
    #[error("it is not parked any more: it is {}", .0.as_str())]
    NotParked(DeadLetterState),
    #[error("this release does not make version {version} of {projection}")]
    NotServed { projection: String, version: i32 },
    #[error("the data cannot be read as an event of its type: {0}")]
    InvalidData(Arc<str>),
    #[error("the event still does not apply: {0}")]
    StillInapplicable(String),
    #[error("{CORRECTIONS_MAX} events of the projection are corrected in this shard already")]
    TooManyCorrections,
    #[error("PostgreSQL did not do it")]
    Database(#[from] sqlx::Error),
}

#[derive(sqlx::FromRow)]
struct Letter {
    id: Uuid,
    projection: String,
    version: i32,
    shard: i32,
    stream: String,
    event_id: Uuid,
    event_type: String,
    revision: i64,
    value: Vec<u8>,
    #[sqlx(try_from = "String")]
    state: DeadLetterState,
    error: String,
    /// What makes its version, unless that is dropped.
    fold: Option<i32>,
}

/// Does it. Versions beside this one that have parked the same event try it again, for a correction
/// is theirs, too. After an error nothing has changed, save the error of a letter that still does not
/// apply; after one of the database nobody knows: the letter's state tells.
pub(crate) async fn settle(
    pool: &PgPool,
    projections: &[Projection],
    id: Uuid,
    decision: &Decision,
) -> Result<Outcome, SettleError> {
    let Settled { events, next } = settle_one(pool, projections, id, decision).await?;
    let (reason, actor) = (Some(format!("settled as {id}")), Arc::clone(&decision.actor));
    let again = Decision { act: Act::Retry, reason, actor };
    // This letter is settled whatever becomes of the others, which stay parked where they are seen.
    let twins = twins(pool, id).await.unwrap_or_else(|error| {
        warn!(%id, "letters of other versions stay parked: {}", chain(&error));
        Vec::new()
    });
    for id in twins {
        if let Err(error) = settle_one(pool, projections, id, &again).await {
            warn!(%id, "a letter of another version stays parked: {}", chain(&error));
        }
    }
    let letter = find(pool, id).await?.ok_or(SettleError::NotFound)?;
    Ok(Outcome { letter, settled_events: events, next })
}

/// The letters of the same event that other versions of the projection have parked.
async fn twins(pool: &PgPool, id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT twin.id
         FROM projection.dead_letters AS letter
         JOIN projection.dead_letters AS twin USING (projection, event_id)
         WHERE letter.id = $1 AND twin.id <> $1 AND twin.state = 'parked'
         ORDER BY twin.version",
    )
    .bind(id)
    .fetch_all(pool)
    .await
}

async fn settle_one(
    pool: &PgPool,
    projections: &[Projection],
    id: Uuid,
    decision: &Decision,
) -> Result<Settled, SettleError> {
    let mut tx = pool.begin().await?;
    let letter = Letter::read(&mut tx, id).await?;
    let (projection, row) = letter.served_by(projections)?;
    if !row.change_letters(&mut tx).await? {
        return Err(letter.not_served());
    }
    // All versions stand still in the shard until the end, so a table that is being made durable, or
    // gets an index, is not waited for.
    sqlx::query("SET LOCAL lock_timeout = '500ms'").execute(&mut *tx).await?;
    // What was read before the checkpoint was held may have changed meanwhile.
    let letter = Letter::read(&mut tx, id).await?;
    if letter.state != DeadLetterState::Parked {
        return Err(SettleError::NotParked(letter.state));
    }
    letter.correct(&mut tx, &decision.act).await?;
    let settled = apply(&mut tx, projection, &row, &letter).await;
    match &settled {
        Ok(Settled { events, next }) => {
            let outcome = match next {
                None => format!("all {events} events of the key are settled"),
                Some(next) => {
                    format!("{events} events are settled; the next one is parked as {next}")
                }
            };
            letter.leave(&mut tx, decision.act.state()).await?;
            letter.note(&mut tx, decision, &outcome, decision.act.state(), None).await?;
            tx.commit().await?;
        }
        Err(SettleError::StillInapplicable(error)) => {
            tx.rollback().await?;
            letter.keep(pool, decision, error).await?;
        }
        Err(_) => {}
    }
    settled
}

/// Applies the key's events in order, up to one that does not apply.
async fn apply(
    tx: &mut PgConnection,
    projection: &Projection,
    row: &CheckpointRow,
    letter: &Letter,
) -> Result<Settled, SettleError> {
    let corrections = Corrections::load(&mut *tx, row.projection, row.version, row.shard).await?;
    let waiting = waiting(tx, row, &letter.stream).await?;
    let corrected = waiting.iter().filter_map(|(at, event)| Some((corrections.apply(event)?, *at)));
    let (events, positions): (Vec<CorrectedEvent<'_>>, Vec<EventPosition>) = corrected.unzip();
    let isolation = Isolation { projection, row, events: &events, positions: &positions };
    let misfit = isolation.run(tx).await?.into_iter().next();
    let Some(Misfit { index, from, error }) = misfit else {
        forget(tx, row, &letter.stream, None).await?;
        return Ok(Settled { events: waiting.len(), next: None });
    };
    let (event, position) = (events[index].event, positions[index]);
    if event.id.uuid() == letter.event_id {
        return Err(SettleError::StillInapplicable(error));
    }
    forget(tx, row, &letter.stream, Some(positions[from])).await?;
    let next = NewDeadLetter { parked: EventToPark { position, event }, error };
    // Before the next one of the key can be parked, this one must not be any more.
    letter.leave(tx, DeadLetterState::Retried).await?;
    next.write(tx, row).await?;
    let events = waiting.iter().filter(|(at, _)| *at < positions[from]).count();
    Ok(Settled { events, next: Some(next.id(row)) })
}

impl Letter {
    async fn read(tx: &mut PgConnection, id: Uuid) -> Result<Self, SettleError> {
        let letter = sqlx::query_as(
            "SELECT id, projection, version, shard, stream, event_id, event_type, revision, value,
                state, error,
                (SELECT fold FROM projection.versions AS made
                 WHERE (made.projection, made.version) = (letter.projection, letter.version)
                    AND made.state <> 'dropped') AS fold
             FROM projection.dead_letters AS letter WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(tx)
        .await?;
        letter.ok_or(SettleError::NotFound)
    }

    /// The code that makes the letter's version, and the checkpoint that holds it up.
    fn served_by<'p>(
        &self,
        projections: &'p [Projection],
    ) -> Result<(&'p Projection, CheckpointRow), SettleError> {
        let mut own = projections.iter().filter(|it| it.name == self.projection);
        let code = own.find(|it| Some(it.version) == self.fold);
        let shard = u32::try_from(self.shard).map(ShardId::new).ok();
        let (code, shard) = code.zip(shard).ok_or_else(|| self.not_served())?;
        Ok((code, CheckpointRow { projection: code.name, version: self.version, shard }))
    }

    fn not_served(&self) -> SettleError {
        SettleError::NotServed { projection: self.projection.clone(), version: self.version }
    }

    /// Notes what is to be read instead of the event, or that it is skipped.
    async fn correct(&self, tx: &mut PgConnection, act: &Act) -> Result<(), SettleError> {
        let value = match act {
            Act::Retry => return Ok(()),
            Act::Skip => None,
            Act::Edit(data) => {
                let value = data.to_string().into_bytes();
                let stream = stored_stream(&self.stream)?;
                decode(&self.event_type.as_str().into(), &stream, &value)
                    .map_err(SettleError::InvalidData)?;
                Some(value)
            }
        };
        let same_since = sqlx::query_scalar(
            "SELECT corrected_at FROM projection.corrections
             WHERE projection = $1 AND event_id = $2 AND value IS NOT DISTINCT FROM $3",
        )
        .bind(&self.projection)
        .bind(self.event_id)
        .bind(&value)
        .fetch_optional(&mut *tx)
        .await?;
        let written = sqlx::query(
            "INSERT INTO projection.corrections (projection, event_id, shard, stream, revision,
                event_type, value)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE $8 > (SELECT count(*) FROM projection.corrections
                 WHERE projection = $1 AND shard = $3)
             ON CONFLICT (projection, event_id) DO UPDATE SET
                value = excluded.value, corrected_at = now()",
        )
        .bind(&self.projection)
        .bind(self.event_id)
        .bind(self.shard)
        .bind(&self.stream)
        .bind(self.revision)
        .bind(&self.event_type)
        .bind(value)
        .bind(CORRECTIONS_MAX)
        .execute(&mut *tx)
        .await?;
        if written.rows_affected() == 0 {
            return Err(SettleError::TooManyCorrections);
        }
        Ok(self.tell_who_applied_it(tx, act, same_since).await?)
    }

    /// What a version has made of the event as it was, or of what it was corrected to before, is not
    /// undone. The checkpoints of all versions are held, so none applies it in this moment. Where it was
    /// decided the same before, those that have not forgotten that have read it so.
    async fn tell_who_applied_it(
        &self,
        tx: &mut PgConnection,
        act: &Act,
        same_since: Option<DateTime<Utc>>,
    ) -> Result<(), sqlx::Error> {
        let (event, stream, done) = (self.event_id, &self.stream, act.state().as_str());
        sqlx::query(
            "UPDATE projection.versions AS version SET problem = $4
             FROM projection.checkpoints AS at, projection.dead_letters AS letter
             WHERE letter.id = $1 AND version.projection = letter.projection
                AND version.state <> 'dropped' AND version.version <> $2
                AND (at.projection, at.version, at.shard)
                    = (version.projection, version.version, letter.shard)
                AND at.next_offset >= letter.commit_end
                AND ($5::timestamptz IS NULL OR version.corrections_since >= $5)
                AND NOT EXISTS (
                    SELECT FROM projection.parked_events AS waiting
                    WHERE (waiting.projection, waiting.version, waiting.event_id)
                        = (version.projection, version.version, $3))",
        )
        .bind(self.id)
        .bind(self.version)
        .bind(event)
        .bind(format!(
            "event {event} ({stream}) was {done} after this version had applied it: build it anew"
        ))
        .bind(same_since)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Is parked no more.
    async fn leave(
        &self,
        tx: &mut PgConnection,
        state: DeadLetterState,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE projection.dead_letters SET state = $2, settled_at = now() WHERE id = $1",
        )
        .bind(self.id)
        .bind(state.as_str())
        .execute(tx)
        .await?;
        Ok(())
    }

    /// The event still does not apply: only the reason is new.
    async fn keep(
        &self,
        pool: &PgPool,
        decision: &Decision,
        error: &str,
    ) -> Result<(), sqlx::Error> {
        let mut tx = pool.begin().await?;
        sqlx::query(
            "UPDATE projection.dead_letters SET error = $2 WHERE id = $1 AND state = 'parked'",
        )
        .bind(self.id)
        .bind(storable(error))
        .execute(&mut *tx)
        .await?;
        let outcome = "nothing is settled: it still does not apply";
        self.note(&mut tx, decision, outcome, DeadLetterState::Parked, Some(error)).await?;
        tx.commit().await
    }

    async fn note(
        &self,
        tx: &mut PgConnection,
        decision: &Decision,
        outcome: &str,
        state: DeadLetterState,
        error: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO projection.dead_letter_audit (letter, action, actor, reason, outcome,
                before, after)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.id)
        .bind(decision.act.name())
        .bind(&*decision.actor)
        .bind(&decision.reason)
        .bind(outcome)
        .bind(self.picture(self.state, Some(&self.error), Some(&shown(&self.value))))
        .bind(self.picture(state, error, decision.act.data()))
        .execute(tx)
        .await?;
        Ok(())
    }

    /// The letter at a moment, for the audit.
    fn picture(&self, state: DeadLetterState, error: Option<&str>, data: Option<&Value>) -> Value {
        let data = match data {
            Some(data) => data.clone(),
            None if state == DeadLetterState::Skipped => Value::Null,
            None => shown(&self.value),
        };
        // PostgreSQL's jsonb takes no NUL, which a value that is no event may well hold.
        let text = json!({ "state": state, "error": error, "data": data }).to_string();
        serde_json::from_str(&text.replace("\\u0000", "\\ufffd")).unwrap_or_default()
    }
}
