//! How far a projection is in a shard, and the compare-and-set that moves it on.
//!
//! Why nothing is folded twice or left out, however many projectors run:
//! 1. The transaction that writes a batch's rows begins with `advance`, for one projection or for all
//!    that stand level. It moves a checkpoint only if the stored one is, in every column, the one that
//!    the batch was read from. If it does not move all, the transaction writes nothing.
//! 2. From then on the checkpoints' rows are locked until the transaction ends. A second projector
//!    that holds the same batch does not get past its own `advance`: it finds the rows held, or other
//!    checkpoints, before it has written a row.
//! 3. Rows and checkpoints become visible together or not at all. So the stored checkpoint always
//!    tells exactly which commits the rows contain, and any projector may go on from there: also
//!    after a `COMMIT` whose answer was lost.
//! 4. Query nodes are told by the same transaction, so they hear of nothing that is not committed.
//!
//! `letters` is compared, too: it grows with every change that operators make to dead letters, and a
//! batch that was made before the change would put an event before those that wait for it.
//!
//! `epoch`, `claim` and `last_seq` are compared as well as the offset: the reader machine cannot
//! resume without them, so a row that somebody edited by hand must stop us, not be overwritten.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use domain::shard::ShardId;
use infra::{
    log::{Checkpoint, Nonce},
    postgres::POSITIONS_CHANNEL,
};
use serde_json::json;
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::versions::{Version, schema_of};
use crate::rows::shard_column;

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
    pub to: Checkpoint,
    /// When the last event behind `to` was recorded.
    pub recorded_at: DateTime<Utc>,
    pub log_end: i64,
    /// Whether query nodes are told: those of what readers see.
    pub is_told: bool,
}

/// A checkpoint that is to be moved, and the state of the dead letters that the batch was made with.
pub(crate) type Member = (CheckpointRow, i64);

/// What becomes of a checkpoint whose row another transaction holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Awaited,
    PassedOver,
}

impl CheckpointRow {
    /// The stored checkpoint; makes the row of a projection that has not begun. There is none
    /// ([`sqlx::Error::RowNotFound`]) of a version that has been dropped.
    pub(crate) async fn read(&self, pool: &PgPool) -> Result<StoredCheckpoint, sqlx::Error> {
        if let Some(Some(stored)) = stored(pool, &[*self]).await?.pop() {
            return Ok(stored);
        }
        // Another projector may insert the same at the same time. A version that was dropped a
        // moment ago has no checkpoints, and gets none.
        let begun = self.query(
            "INSERT INTO projection.checkpoints (projection, version, shard, next_offset, epoch,
                last_seq, copying)
             SELECT projection, version, $3, 0, -1, 0, state = 'copying'
             FROM projection.versions
             WHERE projection = $1 AND version = $2 AND state <> 'dropped'
             ON CONFLICT DO NOTHING",
        );
        begun.execute(pool).await?;
        stored(pool, &[*self]).await?.pop().flatten().ok_or(sqlx::Error::RowNotFound)
    }

    /// Holds the checkpoint where it is until the transaction ends, and lets no batch of any version
    /// pass that was made without knowing of this change of the dead letters, for corrections are
    /// those of all. False if there is no such row.
    pub(crate) async fn change_letters(&self, tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
        // In one order, so that two of these do not wait for each other.
        let held = sqlx::query(
            "SELECT FROM projection.checkpoints WHERE projection = $1 AND shard = $2
             ORDER BY version FOR UPDATE",
        );
        held.bind(self.projection).bind(self.shard_column()).execute(&mut *tx).await?;
        let changed = sqlx::query_scalar(
            "UPDATE projection.checkpoints SET letters = letters + 1
             WHERE projection = $1 AND shard = $2 RETURNING version",
        );
        let changed = changed.bind(self.projection).bind(self.shard_column());
        let changed: Vec<i32> = changed.fetch_all(tx).await?;
        Ok(changed.contains(&self.version))
    }

    /// Says why this projection does not go on in this shard, until an `advance` or a call without a
    /// reason.
    pub(crate) async fn note_halt(
        &self,
        pool: &PgPool,
        reason: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        let noted = self.query(
            "UPDATE projection.checkpoints SET halted = $4
             WHERE projection = $1 AND version = $2 AND shard = $3
                AND halted IS DISTINCT FROM $4",
        );
        noted.bind(reason).execute(pool).await.map(drop)
    }

    /// Whether nothing is said against its going on any more, or operators have changed what is parked
    /// since there was this count of changes.
    pub(crate) async fn goes_on(&self, letters: i64, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let found = self.query(
            "SELECT EXISTS (SELECT FROM projection.checkpoints
             WHERE projection = $1 AND version = $2 AND shard = $3
                AND (halted IS NULL OR letters <> $4))",
        );
        found.bind(letters).fetch_one(pool).await?.try_get(0)
    }

    /// Whether the shard is still to be read in bulk, as one is that has not begun.
    pub(crate) async fn is_copying(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let found = self.query(
            "SELECT NOT EXISTS (SELECT FROM projection.checkpoints
             WHERE projection = $1 AND version = $2 AND shard = $3 AND NOT copying)",
        );
        found.fetch_one(pool).await?.try_get(0)
    }

    /// The rest of the shard is read like any other's.
    pub(crate) async fn note_copied(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let marked = self.query(
            "UPDATE projection.checkpoints SET copying = false
             WHERE projection = $1 AND version = $2 AND shard = $3",
        );
        marked.execute(pool).await.map(drop)
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

/// Moves these checkpoints of one shard from the same place to the same place, by compare-and-set: all
/// of them in one statement, or none. Has query nodes told when the transaction commits. Answers the
/// projections of which it holds the checkpoints: of the others the row is held, or the stored
/// checkpoint or the state of the dead letters is another, or they are gone. If any is missing, none has
/// moved.
///
/// One that passes over held rows waits for nobody, so two projectors never wait for each other in a circle.
pub(crate) async fn advance(
    tx: &mut PgConnection,
    members: &[Member],
    step: &Advance,
    held: Held,
) -> Result<Vec<String>, sqlx::Error> {
    let Advance { from, to, .. } = step;
    let Some((CheckpointRow { shard, .. }, _)) = members.first() else { return Ok(Vec::new()) };
    let skip = if held == Held::PassedOver { "SKIP LOCKED" } else { "" };
    // No join: with a handful of rows, what a statement costs is its plan's nodes.
    let these = "shard = $1 AND projection = ANY($2)
        AND version = ($3::int[])[array_position($2, projection)]";
    let sql = format!(
        "WITH held AS MATERIALIZED (
            SELECT projection FROM projection.checkpoints
            WHERE {these} AND letters = ($4::bigint[])[array_position($2, projection)]
                AND log_id IS NOT DISTINCT FROM $5 AND next_offset = $6 AND epoch = $7
                AND claim IS NOT DISTINCT FROM $8 AND last_seq = $9
            FOR UPDATE {skip}
         ), moved AS (
            UPDATE projection.checkpoints SET
                log_id = $10, next_offset = $11, epoch = $12, claim = $13, last_seq = $14,
                last_event_at = $15, log_end = $16, applied_at = now(), seen_at = now(),
                halted = NULL
            WHERE (SELECT count(*) FROM held) = cardinality($2) AND {these}
         )
         SELECT ARRAY(SELECT projection FROM held) AS held,
            CASE WHEN $17::text IS NOT NULL AND (SELECT count(*) FROM held) = cardinality($2)
                THEN pg_notify('{POSITIONS_CHANNEL}', $17)::text END AS told"
    );
    let held = sqlx::query(AssertSqlSafe(sql))
        .bind(shard_column(*shard))
        .bind(members.iter().map(|(row, _)| row.projection).collect::<Vec<_>>())
        .bind(members.iter().map(|(row, _)| row.version).collect::<Vec<_>>())
        .bind(members.iter().map(|(_, letters)| *letters).collect::<Vec<_>>())
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
        .bind(step.is_told.then(|| notice(members, to)).flatten())
        .fetch_one(tx)
        .await?;
    held.try_get("held")
}

/// What query nodes are told: how far the first one is, and who else. Nodes of earlier releases know
/// all of it but `with`, and ask the database for the others.
fn notice(members: &[Member], to: &Checkpoint) -> Option<String> {
    let ((first, _), others) = members.split_first()?;
    let with: Vec<_> = others.iter().map(|(row, _)| (row.projection, row.version)).collect();
    let notice = json!({
        "projection": first.projection, "version": first.version, "shard": first.shard_column(),
        "log_id": to.log_id?, "next_offset": to.next_offset, "with": with,
    });
    Some(notice.to_string())
}

/// What is stored of checkpoints of one shard, as of one moment and in their order.
pub(crate) async fn stored(
    pool: &PgPool,
    rows: &[CheckpointRow],
) -> Result<Vec<Option<StoredCheckpoint>>, sqlx::Error> {
    let Some(CheckpointRow { shard, .. }) = rows.first() else { return Ok(Vec::new()) };
    let found = sqlx::query(
        "SELECT at.log_id, at.next_offset, at.epoch, at.claim, at.last_seq, at.letters
         FROM UNNEST($2::text[], $3::int[]) WITH ORDINALITY AS wanted (projection, version, place)
         LEFT JOIN projection.checkpoints AS at ON at.shard = $1
            AND at.projection = wanted.projection AND at.version = wanted.version
         ORDER BY wanted.place",
    )
    .bind(shard_column(*shard))
    .bind(rows.iter().map(|row| row.projection).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.version).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    let of = |row: &PgRow| {
        let is_there = row.try_get::<Option<i64>, _>("next_offset")?.is_some();
        is_there.then(|| parse(row)).transpose()
    };
    found.iter().map(of).collect()
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
    );
    let rows = rows.bind(projection).bind(version).fetch_all(connection).await?;
    let parsed = |row: &PgRow| {
        let shard: i32 = row.try_get("shard")?;
        let shard = u32::try_from(shard).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok((ShardId::new(shard), parse(row)?.checkpoint))
    };
    rows.iter().map(parsed).collect()
}

/// Those of a version, which stand still until the transaction ends.
pub(crate) async fn hold(
    tx: &mut PgConnection,
    version: &Version,
) -> Result<Vec<(ShardId, Checkpoint)>, sqlx::Error> {
    let sql = "SELECT FROM projection.checkpoints WHERE projection = $1 AND version = $2
         ORDER BY shard FOR UPDATE";
    version.run(&mut *tx, sql).await?;
    all_of(tx, &version.projection, version.version).await
}

/// Takes those of a version back to the start of the log, which is read in bulk or not.
pub(crate) async fn take_back(
    tx: &mut PgConnection,
    version: &Version,
    is_copying: bool,
) -> Result<(), sqlx::Error> {
    let taken_back = version.query(
        "UPDATE projection.checkpoints SET log_id = NULL, next_offset = 0, epoch = -1,
            claim = NULL, last_seq = 0, copying = $3, last_event_at = NULL
         WHERE projection = $1 AND version = $2",
    );
    taken_back.bind(is_copying).execute(tx).await.map(drop)
}

/// Nothing is said any more against a version's going on.
pub(crate) async fn let_go_on(tx: &mut PgConnection, version: &Version) -> Result<(), sqlx::Error> {
    let sql =
        "UPDATE projection.checkpoints SET halted = NULL WHERE projection = $1 AND version = $2";
    version.run(tx, sql).await
}

/// Batches lock their checkpoint first, and then write: so this waits for one, and the next finds no
/// checkpoint.
pub(crate) async fn remove(tx: &mut PgConnection, version: &Version) -> Result<(), sqlx::Error> {
    let sql = "DELETE FROM projection.checkpoints WHERE projection = $1 AND version = $2";
    version.run(tx, sql).await
}

/// The checkpoint in the shard that is the furthest behind of these projections, by their versions.
pub(crate) async fn lowest(
    pool: &PgPool,
    shard: ShardId,
    names: &[&'static str],
    versions: &[i32],
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let rows = names.iter().zip(versions);
    let rows = rows.map(|(&projection, &version)| CheckpointRow { projection, version, shard });
    let found = stored(pool, &rows.collect::<Vec<_>>()).await?.into_iter().flatten();
    Ok(found.map(|stored| stored.checkpoint).min_by_key(|checkpoint| checkpoint.next_offset))
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn one_notice_is_of_all_and_of_the_first_for_nodes_that_know_no_others() {
        let row = |projection| CheckpointRow { projection, version: 2, shard: ShardId::new(1) };
        let to = Checkpoint { log_id: Some(Nonce(7)), next_offset: 9, ..Checkpoint::START };
        let told = notice(&[(row("carts"), 0), (row("stock"), 3)], &to).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        let expected = json!({
            "projection": "carts", "version": 2, "shard": 1, "log_id": "0000000000000007",
            "next_offset": 9, "with": [["stock", 2]],
        });
        assert_eq!(told, expected);
        assert_eq!(notice(&[(row("carts"), 0)], &Checkpoint::START), None);
    }
}
