//! How far a projection is in a shard, and the compare-and-set that moves it on.
//!
//! Why nothing is folded twice or left out, however many projectors run:
//! 1. The transaction that writes a batch's rows begins with `advance`. It succeeds only if the
//!    stored checkpoint is, in every column, the one that the batch was read from.
//! 2. From then on the checkpoint's row is locked until the transaction ends. A second projector
//!    that holds the same batch waits at its own `advance`, then finds another checkpoint and stops
//!    before it has written a row.
//! 3. Rows and checkpoint become visible together or not at all. So the stored checkpoint always
//!    tells exactly which commits the rows contain, and any projector may go on from there: also
//!    after a `COMMIT` whose answer was lost.
//!
//! `letters` is compared, too: it grows with every change that operators make to dead letters, and a
//! batch that was made before the change would put an event before those that wait for it.
//!
//! `epoch`, `claim` and `last_seq` are compared as well as the offset: the reader machine cannot
//! resume without them, so a row that somebody edited by hand must stop us, not be overwritten.

use std::{collections::BTreeSet, str::FromStr};

use chrono::{DateTime, Utc};
use domain::shard::ShardId;
use infra::log::{Checkpoint, Nonce};
use sqlx::{
    PgConnection, PgPool, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::versions::schema_of;

/// The checkpoint row of one version of a projection in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CheckpointRow {
    pub projection: &'static str,
    pub version: i32,
    pub shard: ShardId,
}

/// What is stored of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredCheckpoint {
    pub checkpoint: Checkpoint,
    /// How often operators have changed what is parked or corrected here.
    pub letters: i64,
}

/// A step forward, and what is told along with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advance {
    pub from: Checkpoint,
    /// The state of the dead letters that the batch was made with.
    pub letters: i64,
    pub to: Checkpoint,
    /// When the last event behind `to` was recorded.
    pub recorded_at: DateTime<Utc>,
    pub log_end: i64,
}

impl CheckpointRow {
    /// The stored checkpoint; makes the row of a projection that has not begun.
    ///
    /// # Errors
    /// If PostgreSQL cannot answer or the row holds what no projector writes;
    /// [`sqlx::Error::RowNotFound`] if the version has been dropped.
    pub(crate) async fn read(&self, pool: &PgPool) -> Result<StoredCheckpoint, sqlx::Error> {
        if let Some(stored) = self.stored(pool).await? {
            return Ok(stored);
        }
        self.insert(pool, Checkpoint::START).await?;
        self.stored(pool).await?.ok_or(sqlx::Error::RowNotFound)
    }

    async fn stored(&self, pool: &PgPool) -> Result<Option<StoredCheckpoint>, sqlx::Error> {
        let row = self
            .query(
                "SELECT log_id, next_offset, epoch, claim, last_seq, letters
             FROM projection.checkpoints
             WHERE projection = $1 AND version = $2 AND shard = $3",
            )
            .fetch_optional(pool)
            .await?;
        row.as_ref().map(parse).transpose()
    }

    async fn insert(&self, pool: &PgPool, start: Checkpoint) -> Result<(), sqlx::Error> {
        // Another projector may insert the same at the same time. A version that was dropped a
        // moment ago has no checkpoints, and gets none.
        self.query(
            "INSERT INTO projection.checkpoints (projection, version, shard, next_offset, epoch,
                last_seq, copying)
             SELECT projection, version, $3, $4, $5, $6, state = 'copying'
             FROM projection.versions
             WHERE projection = $1 AND version = $2 AND state <> 'dropped'
             ON CONFLICT DO NOTHING",
        )
        .bind(start.next_offset)
        .bind(start.epoch)
        .bind(seq_column(start.last_seq))
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Moves the checkpoint. False if the stored checkpoint is not `from`, for then somebody else
    /// serves this shard; or if an operator has changed the dead letters.
    pub(crate) async fn advance(
        &self,
        tx: &mut PgConnection,
        step: &Advance,
    ) -> Result<bool, sqlx::Error> {
        let Advance { from, to, .. } = step;
        let moved = self
            .query(
                "UPDATE projection.checkpoints SET
                log_id = $9, next_offset = $10, epoch = $11, claim = $12, last_seq = $13,
                last_event_at = $14, log_end = $15, applied_at = now(), seen_at = now(),
                halted = NULL
             WHERE projection = $1 AND version = $2 AND shard = $3
                AND log_id IS NOT DISTINCT FROM $4 AND next_offset = $5 AND epoch = $6
                AND claim IS NOT DISTINCT FROM $7 AND last_seq = $8 AND letters = $16",
            )
            .bind(from.log_id.map(|id| id.to_string()))
            .bind(from.next_offset)
            .bind(from.epoch)
            .bind(from.claim.map(|claim| claim.to_string()))
            .bind(seq_column(from.last_seq))
            .bind(to.log_id.map(|id| id.to_string()))
            .bind(to.next_offset)
            .bind(to.epoch)
            .bind(to.claim.map(|claim| claim.to_string()))
            .bind(seq_column(to.last_seq))
            .bind(step.recorded_at)
            .bind(step.log_end)
            .bind(step.letters)
            .execute(tx)
            .await?;
        Ok(moved.rows_affected() > 0)
    }

    /// Holds the checkpoint where it is until the transaction ends, and lets no batch of any version
    /// pass that was made without knowing of this change of the dead letters, for corrections are
    /// those of all. False if there is no such row.
    pub(crate) async fn change_letters(&self, tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
        // In one order, so that two of these do not wait for each other.
        sqlx::query(
            "SELECT FROM projection.checkpoints WHERE projection = $1 AND shard = $2
             ORDER BY version FOR UPDATE",
        )
        .bind(self.projection)
        .bind(self.shard_column())
        .execute(&mut *tx)
        .await?;
        let changed: Vec<i32> = sqlx::query_scalar(
            "UPDATE projection.checkpoints SET letters = letters + 1
             WHERE projection = $1 AND shard = $2 RETURNING version",
        )
        .bind(self.projection)
        .bind(self.shard_column())
        .fetch_all(tx)
        .await?;
        Ok(changed.contains(&self.version))
    }

    /// Says why this projection does not go on in this shard, until an `advance` or a call without a
    /// reason.
    pub(crate) async fn note_halt(
        &self,
        pool: &PgPool,
        reason: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        self.query(
            "UPDATE projection.checkpoints SET halted = $4
             WHERE projection = $1 AND version = $2 AND shard = $3
                AND halted IS DISTINCT FROM $4",
        )
        .bind(reason)
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Whether nothing is said against its going on.
    pub(crate) async fn goes_on(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM projection.checkpoints
             WHERE projection = $1 AND version = $2 AND shard = $3 AND halted IS NULL)",
        )
        .bind(self.projection)
        .bind(self.version)
        .bind(self.shard_column())
        .fetch_one(pool)
        .await
    }

    /// A statement about the row, which is what its first three parameters name.
    pub(crate) fn query<'q>(&self, sql: &'static str) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(sql).bind(self.projection).bind(self.version).bind(self.shard_column())
    }

    /// Where the rows are that the checkpoint speaks of.
    #[must_use]
    pub(crate) fn schema(&self) -> String {
        schema_of(self.projection, self.version)
    }

    pub(crate) fn shard_column(&self) -> i32 {
        shard_column(self.shard)
    }
}

/// Moves checkpoints whose rows nobody holds, and tells which. One that is not among them may be held, or
/// be elsewhere, as [`CheckpointRow::advance`] tells.
pub(crate) async fn advance_free(
    connection: &mut PgConnection,
    steps: &[(CheckpointRow, Advance)],
) -> Result<BTreeSet<(String, i32, i32)>, sqlx::Error> {
    fn column<T>(
        steps: &[(CheckpointRow, Advance)],
        of: impl Fn(&CheckpointRow, &Advance) -> T,
    ) -> Vec<T> {
        steps.iter().map(|(row, step)| of(row, step)).collect()
    }
    let log_id = |at: &Checkpoint| at.log_id.map(|id| id.to_string());
    let claim = |at: &Checkpoint| at.claim.map(|claim| claim.to_string());
    let moved: Vec<(String, i32, i32)> = sqlx::query_as(
        "WITH steps AS (
            SELECT * FROM UNNEST($1::text[], $2::int[], $3::int[], $4::text[], $5::bigint[],
                $6::bigint[], $7::text[], $8::bigint[], $9::text[], $10::bigint[], $11::bigint[],
                $12::text[], $13::bigint[], $14::timestamptz[], $15::bigint[], $16::bigint[])
            AS step (projection, version, shard, log_id, next_offset, epoch, claim, last_seq,
                to_log_id, to_next_offset, to_epoch, to_claim, to_last_seq, recorded_at, log_end,
                letters)
         ), free AS (
            SELECT row.projection, row.version, row.shard
            FROM projection.checkpoints AS row JOIN steps USING (projection, version, shard)
            FOR UPDATE OF row SKIP LOCKED
         )
         UPDATE projection.checkpoints AS row SET
            log_id = to_log_id, next_offset = to_next_offset, epoch = to_epoch, claim = to_claim,
            last_seq = to_last_seq, last_event_at = recorded_at, log_end = steps.log_end,
            applied_at = now(), seen_at = now(), halted = NULL
         FROM steps JOIN free USING (projection, version, shard)
         WHERE row.projection = steps.projection AND row.version = steps.version
            AND row.shard = steps.shard AND row.log_id IS NOT DISTINCT FROM steps.log_id
            AND row.next_offset = steps.next_offset AND row.epoch = steps.epoch
            AND row.claim IS NOT DISTINCT FROM steps.claim AND row.last_seq = steps.last_seq
            AND row.letters = steps.letters
         RETURNING row.projection, row.version, row.shard",
    )
    .bind(column(steps, |row, _| row.projection))
    .bind(column(steps, |row, _| row.version))
    .bind(column(steps, |row, _| row.shard_column()))
    .bind(column(steps, |_, step| log_id(&step.from)))
    .bind(column(steps, |_, step| step.from.next_offset))
    .bind(column(steps, |_, step| step.from.epoch))
    .bind(column(steps, |_, step| claim(&step.from)))
    .bind(column(steps, |_, step| seq_column(step.from.last_seq)))
    .bind(column(steps, |_, step| log_id(&step.to)))
    .bind(column(steps, |_, step| step.to.next_offset))
    .bind(column(steps, |_, step| step.to.epoch))
    .bind(column(steps, |_, step| claim(&step.to)))
    .bind(column(steps, |_, step| seq_column(step.to.last_seq)))
    .bind(column(steps, |_, step| step.recorded_at))
    .bind(column(steps, |_, step| step.log_end))
    .bind(column(steps, |_, step| step.letters))
    .fetch_all(connection)
    .await?;
    Ok(moved.into_iter().collect())
}

/// The checkpoints of a version, by shard.
pub(crate) async fn all_of(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
) -> Result<Vec<(ShardId, Checkpoint)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT shard, log_id, next_offset, epoch, claim, last_seq, letters
         FROM projection.checkpoints
         WHERE projection = $1 AND version = $2 ORDER BY shard",
    )
    .bind(projection)
    .bind(version)
    .fetch_all(connection)
    .await?;
    let parsed = |row: &PgRow| {
        let shard: i32 = row.try_get("shard")?;
        let shard = u32::try_from(shard).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok((ShardId::new(shard), parse(row)?.checkpoint))
    };
    rows.iter().map(parsed).collect()
}

/// The checkpoint in the shard that is the furthest behind of these projections, by their versions.
pub(crate) async fn lowest(
    pool: &PgPool,
    shard: ShardId,
    names: &[&str],
    versions: &[i32],
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT log_id, next_offset, epoch, claim, last_seq, letters FROM projection.checkpoints
         WHERE shard = $1
            AND (projection, version) IN (SELECT * FROM UNNEST($2::text[], $3::int[]))
         ORDER BY next_offset LIMIT 1",
    )
    .bind(shard_column(shard))
    .bind(names)
    .bind(versions)
    .fetch_optional(pool)
    .await?;
    Ok(row.as_ref().map(parse).transpose()?.map(|stored| stored.checkpoint))
}

/// A shard's number as a column holds it; Kafka counts partitions in the same type.
#[must_use]
pub(crate) fn shard_column(shard: ShardId) -> i32 {
    i32::try_from(shard.index()).unwrap_or(i32::MAX)
}

/// A sequence number as a column holds it. The log would need 292 million years to get beyond.
fn seq_column(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn parse(row: &PgRow) -> Result<StoredCheckpoint, sqlx::Error> {
    let last_seq: i64 = row.try_get("last_seq")?;
    let checkpoint = Checkpoint {
        log_id: nonce(row.try_get("log_id")?)?,
        next_offset: row.try_get("next_offset")?,
        epoch: row.try_get("epoch")?,
        claim: nonce(row.try_get("claim")?)?,
        last_seq: u64::try_from(last_seq).map_err(|error| sqlx::Error::Decode(error.into()))?,
    };
    Ok(StoredCheckpoint { checkpoint, letters: row.try_get("letters")? })
}

fn nonce(text: Option<&str>) -> Result<Option<Nonce>, sqlx::Error> {
    text.map(Nonce::from_str).transpose().map_err(|error| sqlx::Error::Decode(error.into()))
}
