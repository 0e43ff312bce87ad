//! Writes batches of one projection in one shard: by itself here, with others in `follow/group`.
//!
//! A batch is first folded as if all of it applied, which it nearly always does. If not, it is folded
//! again with care: what does not apply is parked, and the rest is not held up (`store/letters.rs`).
//!
//! **Invariant:** a batch's rows, what it parks and its checkpoint are written in one transaction,
//! which begins with the compare-and-set. After an answer that was lost, the stored checkpoint decides
//! whether the batch is in; nothing is assumed.

use std::time::Duration;

use infra::{
    log::Checkpoint,
    postgres::errors::{is_about_data, is_statement_timeout, is_transient},
    telemetry::emit,
};
use read_models::Projection;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;

use super::{
    RETRY,
    batch::{Batch, Failed},
    events::{Applied, ApplyFailed, Halted, Parked, ParkedCount},
    is_marked,
    isolate::Isolation,
    shared::Site,
};
use crate::{
    event::Commit,
    fold::stored::{FoldError, KeptRows, fold},
    rows::Tables,
    store::{
        checkpoints::{Advance, CheckpointRow, Held, Member, StoredCheckpoint, advance},
        letters::{DeadLetters, EventsToPark, NewlyParked},
        versions::Served,
    },
};

/// A large batch takes longer than what the pool allows a statement.
const BULK_WAIT_MAX: Duration = Duration::from_secs(300);

/// What helps when the topic is not the one that the tables were made from.
pub(crate) const RECREATED: &str = "restore the topic that the read models were made from, or drop their \
    schemas and checkpoints so that they are made anew";

pub(crate) struct Writer {
    pub site: Site,
    pub projection: Projection,
    pub row: CheckpointRow,
    pub checkpoint: Checkpoint,
    pub dead_letters: DeadLetters,
    phase: Phase,
    /// As of the last batch, if that was answered.
    kept: KeptRows,
}

/// What becomes of the version meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A version that follows the log.
    Following,
    /// Tables that a crash of PostgreSQL empties. Each batch looks for the mark that is wiped out with
    /// them, so that none is missed by the next one.
    Building,
}

/// How a batch is folded.
pub(crate) enum Care<'k> {
    /// As if all of it applied, on top of the rows that are kept.
    Trusting(&'k mut KeptRows),
    /// So that what does not apply is found.
    Isolating,
}

impl Writer {
    /// Stands where the stored checkpoint does, and knows of the log up to there.
    ///
    /// # Errors
    /// [`sqlx::Error::RowNotFound`] if the version has been dropped.
    pub(crate) async fn open(
        site: &Site,
        served: &Served,
        phase: Phase,
    ) -> Result<Self, sqlx::Error> {
        let row =
            CheckpointRow { projection: served.name(), version: served.version, shard: site.shard };
        let (site, projection, checkpoint) = (site.clone(), served.projection, Checkpoint::START);
        let (dead_letters, kept) = (DeadLetters::default(), KeptRows::default());
        let mut writer = Self { site, projection, row, checkpoint, dead_letters, phase, kept };
        writer.checkpoint = writer.reload().await?;
        let at = writer.checkpoint.next_offset;
        writer.site.log_end.has_read(at, at);
        writer.site.shared.postgres.clear(&(row.projection, row.shard));
        Ok(writer)
    }

    /// What is compared before its checkpoint moves.
    #[must_use]
    pub(crate) fn compared(&self) -> Member {
        (self.row, self.dead_letters.changes)
    }

    /// Applies all commits, save what is parked of them: at once, or in smaller parts where that
    /// takes PostgreSQL longer than a statement may.
    pub(crate) async fn apply(&mut self, commits: &[&Commit]) -> Result<(), Failed> {
        let Some(first) = commits.first() else { return Ok(()) };
        if self.checkpoint.log_id.is_some() && self.checkpoint.log_id != first.checkpoint.log_id {
            return Err(Failed::Stuck(format!("the log was made anew; {RECREATED}")));
        }
        let (mut ahead, mut part) = (commits, commits.len());
        while !ahead.is_empty() {
            let (now, later) = ahead.split_at(part.min(ahead.len()));
            match self.write_patiently(now).await {
                Ok(()) => ahead = later,
                Err(Failed::TooMuch) => part = (now.len() / 2).max(1),
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }

    /// Says that it goes on, or does not for this reason.
    pub(crate) async fn note_halt(&self, reason: Option<&str>) {
        let CheckpointRow { projection, shard, .. } = self.row;
        emit(Halted { row: self.row, reason });
        if let Some(failures) = self.site.shared.halted.get(projection) {
            match reason {
                Some(reason) => failures.raise(shard, format!("halted in shard {shard}: {reason}")),
                None => failures.clear(&shard),
            }
        }
        if let Err(error) = self.row.note_halt(&self.site.shared.pool, reason).await {
            emit(ApplyFailed { projection, shard, error: &error });
        }
    }

    /// Learns where the stored checkpoint is, and what is parked: it begins, an operator has changed that, or
    /// nobody knows whether the last batch is in.
    pub(crate) async fn reload(&mut self) -> Result<Checkpoint, sqlx::Error> {
        let pool = &self.site.shared.pool;
        let StoredCheckpoint { checkpoint, letters } = self.row.read(pool).await?;
        self.kept = KeptRows::default();
        self.dead_letters = DeadLetters::load(pool, &self.row, letters).await?;
        self.tell_parked();
        Ok(checkpoint)
    }

    fn tell_parked(&self) {
        emit(ParkedCount { row: self.row, events: self.dead_letters.events() });
    }

    /// Writes one batch, however long PostgreSQL is away.
    async fn write_patiently(&mut self, commits: &[&Commit]) -> Result<(), Failed> {
        let Some(last) = commits.last() else { return Ok(()) };
        let mut waits = RETRY.waits();
        let mut written = self.write(commits).await;
        loop {
            let too_much = match written {
                Ok((added, kept)) => {
                    self.has_written(last.checkpoint, added, kept);
                    return Ok(());
                }
                Err(Failed::Database(error)) if is_transient(&error) => {
                    self.site.report_failure(self.row.projection, &error);
                    self.site.pause(&mut waits).await.ok_or(Failed::Stopped)?;
                    is_statement_timeout(&error) && commits.len() > 1
                }
                Err(Failed::Lost) => false,
                Err(failed) => return Err(failed),
            };
            // Whether the last try went through, only the stored checkpoint knows.
            written = match self.reload().await {
                Ok(at) if at == last.checkpoint => {
                    Ok((NewlyParked::default(), KeptRows::default()))
                }
                Ok(at) if at != self.checkpoint => return Err(Failed::Lost),
                Ok(_) if too_much => return Err(Failed::TooMuch),
                Ok(_) => self.write(commits).await,
                Err(error) => Err(error.into()),
            };
        }
    }

    async fn write(&mut self, commits: &[&Commit]) -> Result<(NewlyParked, KeptRows), Failed> {
        let mut kept = self.take_kept();
        let batch = Batch::of(commits, self.projection, &self.dead_letters);
        match self.transact(commits, &batch, Care::Trusting(&mut kept)).await {
            Err(Failed::Unfit) => {
                let added = self.transact(commits, &batch, Care::Isolating).await?;
                Ok((added, KeptRows::default()))
            }
            added => Ok((added?, kept)),
        }
    }

    /// The rows that are kept, for one try: they are put back if it goes through.
    pub(crate) fn take_kept(&mut self) -> KeptRows {
        std::mem::take(&mut self.kept)
    }

    /// A batch is in.
    pub(crate) fn has_written(&mut self, to: Checkpoint, added: NewlyParked, kept: KeptRows) {
        self.checkpoint = to;
        self.kept = kept;
        if added.is_some() {
            self.dead_letters.add(added);
            self.tell_parked();
        }
        self.site.shared.postgres.clear(&(self.row.projection, self.row.shard));
    }

    async fn transact(
        &self,
        commits: &[&Commit],
        batch: &Batch<'_>,
        care: Care<'_>,
    ) -> Result<NewlyParked, Failed> {
        let Some(last) = commits.last() else { return Ok(NewlyParked::default()) };
        let started = Instant::now();
        if batch.is_empty() && self.phase == Phase::Following {
            // One statement is a transaction of its own.
            let mut connection = self.site.shared.pool.acquire().await?;
            self.advance(&mut connection, last).await?;
            return Ok(NewlyParked::default());
        }
        let mut tx = self.site.shared.pool.begin().await?;
        if self.phase == Phase::Building {
            let wait_max = BULK_WAIT_MAX.as_millis();
            let patient = AssertSqlSafe(format!("SET LOCAL statement_timeout = {wait_max}"));
            sqlx::query(patient).execute(&mut *tx).await?;
        }
        self.advance(&mut tx, last).await?;
        if self.phase == Phase::Building && !is_marked(&mut tx, &self.row.schema()).await? {
            return Err(Failed::WipedOut);
        }
        let to_park = match self.put(&mut tx, batch, care).await {
            Ok(to_park) => to_park,
            Err(failed) => {
                // Its locks must be gone before the next try. If that fails, so does the connection.
                tx.rollback().await.ok();
                return Err(failed);
            }
        };
        tx.commit().await?;
        let projection = self.row.projection;
        let events = batch.events.len();
        emit(Applied { projection, events, took: started.elapsed() });
        for letter in &to_park.letters {
            let (shard, event) = (self.row.shard, letter.parked.event);
            emit(Parked { projection, shard, event, error: &letter.error });
        }
        Ok(to_park.added())
    }

    /// Moves the checkpoint behind this commit, if it is the own one.
    async fn advance(&self, tx: &mut PgConnection, last: &Commit) -> Result<(), Failed> {
        let held = advance(tx, &[self.compared()], &self.step(last), Held::Awaited).await?;
        if held.is_empty() { Err(Failed::Lost) } else { Ok(()) }
    }

    /// The way from where it stands to behind this commit.
    #[must_use]
    pub(crate) fn step(&self, last: &Commit) -> Advance {
        Advance {
            from: self.checkpoint,
            to: last.checkpoint,
            recorded_at: last.recorded_at,
            log_end: self.site.log_end.as_seen_from(last.checkpoint.next_offset),
            is_told: self.site.shared.is_read(),
        }
    }

    /// Writes what a batch makes of the tables, and what it parks.
    pub(crate) async fn put<'c>(
        &self,
        tx: &mut PgConnection,
        batch: &Batch<'c>,
        care: Care<'_>,
    ) -> Result<EventsToPark<'c>, Failed> {
        let Batch { events, positions, .. } = batch;
        let (projection, row, schema) = (&self.projection, &self.row, self.row.schema());
        let misfits = match care {
            _ if events.is_empty() => Vec::new(),
            Care::Isolating => Isolation { projection, row, events, positions }.run(tx).await?,
            Care::Trusting(kept) => {
                let mut tables = Tables::new(tx, &schema, row.shard);
                match fold(projection, &mut tables, events, kept).await {
                    Ok(()) => Vec::new(),
                    Err(FoldError::Database(error)) if !is_about_data(&error) => {
                        return Err(error.into());
                    }
                    Err(FoldError::Inapplicable(_) | FoldError::Database(_)) => {
                        return Err(Failed::Unfit);
                    }
                }
            }
        };
        let to_park = self.check_room(batch.park(misfits))?;
        if !to_park.is_empty() {
            to_park.write(tx, &self.row).await?;
        }
        Ok(to_park)
    }

    /// # Errors
    /// Too much would be parked: something is wrong with more than some events.
    fn check_room<'c>(&self, to_park: EventsToPark<'c>) -> Result<EventsToPark<'c>, Failed> {
        let parked_max = self.site.shared.parked_events_max;
        let (so_far, more) = (self.dead_letters.events(), to_park.events.len());
        if more == 0 || so_far.saturating_add(more) <= parked_max {
            return Ok(to_park);
        }
        let last = to_park.letters.first().map_or_else(String::new, |letter| {
            format!("; the first of them: {}: {}", letter.parked.event.describe(), letter.error)
        });
        Err(Failed::Stuck(format!(
            "{so_far} events are parked and {more} more would be, which is beyond \
             projector.parked_events_max = {parked_max}{last}"
        )))
    }
}
