//! Carries one projection through one shard, batch by batch.
//!
//! A batch is what has arrived, up to a bound: nobody lingers for events, so a lone one becomes
//! visible at once, and under load batches grow by themselves.
//!
//! A batch is first folded as if all of it applied, which it nearly always does. If not, it is folded
//! again with care: what does not apply is parked, and the rest is not held up (`dead_letters`).
//!
//! **Invariant:** a batch's rows, what it parks and its checkpoint are written in one transaction,
//! which begins with the compare-and-set. After an answer that was lost, the stored checkpoint decides
//! whether the batch is in; nothing is assumed.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    log::Checkpoint,
    shutdown::Shutdown,
    telemetry::{chain, emit},
};
use sqlx::PgConnection;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    RETRY,
    batch::{Batch, wanted},
    commit::Commit,
    feed::Delivery,
    fold::{Fold, FoldError},
    horizon::Horizon,
    isolate::{Isolation, Misfit, is_about_data},
    shard::RECREATED,
    shared::Shared,
};
use crate::{
    checkpoint::{Advance, CheckpointRow, Stand},
    dead_letters::{Added, Letters, Parking},
    metrics::{Applied, ApplyFailed, Halted, Parked, ParkedCount, Resumed},
    projection::Tables,
};

/// Events of one batch; what has arrived beyond them makes the next one.
const BATCH_EVENTS_MAX: usize = 5_000;
/// How long commits without an event for this projection may wait for company. Every commit moves
/// every checkpoint, and most commits concern few projections.
const QUIET_WAIT_MAX: Duration = Duration::from_millis(20);

pub(super) struct Applier {
    pub shared: Arc<Shared>,
    pub projection: Arc<dyn Fold>,
    pub row: CheckpointRow,
    pub checkpoint: Checkpoint,
    pub letters: Letters,
    pub horizon: Arc<Horizon>,
    pub inbox: mpsc::Receiver<Delivery>,
    pub stop: Shutdown,
}

/// How an applier ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it was asked to.
    Stopped,
    /// Somebody else moved the checkpoint.
    Lost,
    /// It cannot go on, and says so.
    Halted,
}

/// What keeps a batch from being applied.
#[derive(Debug)]
enum Failed {
    /// Before it was known to be written; whoever serves the shard next finds out.
    Stopped,
    /// The stored checkpoint, or its count of changes to the dead letters, is another.
    Lost,
    /// Some of its events do not apply; none of it is in.
    Unfit,
    /// What is wrong cannot be put aside.
    Stuck(String),
    Database(sqlx::Error),
}

/// How a batch is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// As if all of it applied.
    Trusting,
    /// So that what does not apply is found.
    Isolating,
}

impl Applier {
    pub(super) async fn run(mut self) -> Ended {
        let (projection, shard) = self.party();
        emit(Resumed { projection, shard });
        if let Some(trouble) = self.shared.halted.get(projection) {
            trouble.clear(&shard);
        }
        let stop = self.stop.clone();
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.requested() => return Ended::Stopped,
                deliveries = self.gather() => match deliveries {
                    Some(deliveries) => deliveries,
                    None => return Ended::Stopped,
                },
            };
            let commits = self.ahead(&deliveries);
            let Err(failed) = self.apply(&commits).await else { continue };
            let reason = match failed {
                Failed::Stopped => return Ended::Stopped,
                Failed::Lost => return Ended::Lost,
                Failed::Unfit => "the batch does not apply".to_owned(),
                Failed::Stuck(reason) => reason,
                Failed::Database(error) => chain(&error).to_string(),
            };
            self.halt(&reason).await;
            return Ended::Halted;
        }
    }

    /// Waits for commits and takes what is there.
    async fn gather(&mut self) -> Option<Vec<Delivery>> {
        let mut deliveries = vec![self.inbox.recv().await?];
        let deadline = Instant::now() + QUIET_WAIT_MAX;
        let mut events = self.events(&deliveries[0]);
        while events < BATCH_EVENTS_MAX {
            let next = match self.inbox.try_recv() {
                Ok(next) => next,
                Err(_) if events > 0 => break,
                Err(_) => match timeout_at(deadline, self.inbox.recv()).await {
                    Ok(Some(next)) => next,
                    Ok(None) | Err(_) => break,
                },
            };
            events += self.events(&next);
            deliveries.push(next);
        }
        Some(deliveries)
    }

    fn events(&self, commits: &[Commit]) -> usize {
        commits.iter().map(|commit| wanted(commit, self.projection.stream()).count()).sum()
    }

    /// The commits that the checkpoint does not cover yet: the feed begins where the slowest
    /// projection of the shard stands.
    fn ahead<'d>(&self, deliveries: &'d [Delivery]) -> Vec<&'d Commit> {
        let behind = |commit: &&Commit| commit.checkpoint.next_offset > self.checkpoint.next_offset;
        deliveries.iter().flat_map(|delivery| delivery.iter()).filter(behind).collect()
    }

    /// Applies all commits, save what is parked of them.
    async fn apply(&mut self, commits: &[&Commit]) -> Result<(), Failed> {
        let Some(first) = commits.first() else { return Ok(()) };
        if self.checkpoint.log_id.is_some() && self.checkpoint.log_id != first.checkpoint.log_id {
            return Err(Failed::Stuck(format!("the log was made anew; {RECREATED}")));
        }
        self.write_patiently(commits).await
    }

    /// Writes one batch, however long PostgreSQL is away.
    async fn write_patiently(&mut self, commits: &[&Commit]) -> Result<(), Failed> {
        let Some(last) = commits.last() else { return Ok(()) };
        let mut waits = RETRY.waits();
        let mut written = self.write(commits).await;
        loop {
            match written {
                Ok(added) => {
                    self.letters.add(added);
                    break;
                }
                Err(Failed::Database(error)) if is_transient(&error) => {
                    self.trouble(&error);
                    tokio::select! {
                        _ = waits.wait() => {}
                        () = self.stop.requested() => return Err(Failed::Stopped),
                    }
                }
                Err(Failed::Lost) => {}
                Err(failed) => return Err(failed),
            }
            // Whether the last try went through, only the stored checkpoint knows.
            written = match self.row.read(&self.shared.pool).await {
                Ok(stand) if stand.checkpoint == last.checkpoint => {
                    self.reload(stand).await.map(|()| Added::default())
                }
                Ok(stand) if stand.checkpoint == self.checkpoint => {
                    match self.reload(stand).await {
                        Ok(()) => self.write(commits).await,
                        Err(failed) => Err(failed),
                    }
                }
                Ok(_) => return Err(Failed::Lost),
                Err(error) => Err(Failed::Database(error)),
            };
        }
        self.shared.postgres.clear(&self.party());
        self.checkpoint = last.checkpoint;
        self.tell_parked();
        Ok(())
    }

    /// Learns what is parked: an operator has changed it, or nobody knows whether the last batch has.
    async fn reload(&mut self, stand: Stand) -> Result<(), Failed> {
        self.letters = Letters::load(&self.shared.pool, &self.row, stand.letters).await?;
        Ok(())
    }

    async fn write(&self, commits: &[&Commit]) -> Result<Added, Failed> {
        let batch = Batch::of(commits, self.projection.stream(), &self.letters);
        match self.transact(commits, &batch, Care::Trusting).await {
            Err(Failed::Unfit) => self.transact(commits, &batch, Care::Isolating).await,
            written => written,
        }
    }

    async fn transact(
        &self,
        commits: &[&Commit],
        batch: &Batch<'_>,
        care: Care,
    ) -> Result<Added, Failed> {
        let Some(last) = commits.last() else { return Ok(Added::default()) };
        let started = Instant::now();
        let mut tx = self.shared.pool.begin().await?;
        let step = Advance {
            from: &self.checkpoint,
            letters: self.letters.changes,
            to: &last.checkpoint,
            recorded_at: last.recorded_at,
            log_end: self.horizon.log_end(last.checkpoint.next_offset),
        };
        if !self.row.advance(&mut tx, &step).await? {
            return Err(Failed::Lost);
        }
        let folded = self.fold(&mut tx, batch, care).await.map(|misfits| batch.park(misfits));
        let parking = match folded.and_then(|parking| self.check_room(parking)) {
            Ok(parking) => parking,
            Err(failed) => {
                // Its locks must be gone before the next try. If that fails, so does the connection.
                tx.rollback().await.ok();
                return Err(failed);
            }
        };
        if !parking.is_empty() {
            parking.write(&mut tx, &self.row).await?;
        }
        tx.commit().await?;
        let projection = self.row.projection;
        let events = batch.facts.len();
        emit(Applied { projection, events, took: started.elapsed() });
        for letter in &parking.letters {
            let (shard, fact) = (self.row.shard, letter.parcel.fact);
            emit(Parked { projection, shard, fact, error: &letter.error });
        }
        Ok(parking.added())
    }

    async fn fold(
        &self,
        tx: &mut PgConnection,
        batch: &Batch<'_>,
        care: Care,
    ) -> Result<Vec<Misfit>, Failed> {
        let Batch { facts, places, .. } = batch;
        if facts.is_empty() {
            return Ok(Vec::new());
        }
        let (projection, row) = (&*self.projection, &self.row);
        if care == Care::Isolating {
            return Ok(Isolation { projection, row, facts, places }.run(tx).await?);
        }
        let schema = row.schema();
        let folded = projection.fold(&mut Tables::new(tx, &schema, row.shard), facts).await;
        folded.map(|()| Vec::new()).map_err(|error| match error {
            FoldError::Inapplicable(_) => Failed::Unfit,
            FoldError::Database(error) if is_about_data(&error) => Failed::Unfit,
            FoldError::Database(error) => Failed::Database(error),
        })
    }

    /// # Errors
    /// Too much would be parked: something is wrong with more than some events.
    fn check_room<'c>(&self, parking: Parking<'c>) -> Result<Parking<'c>, Failed> {
        let parked_max = self.shared.parked_events_max;
        let parked = self.letters.events().saturating_add(parking.events.len());
        if parking.is_empty() || parked <= parked_max {
            return Ok(parking);
        }
        let (more, so_far) = (parking.events.len(), self.letters.events());
        let last = parking.letters.first().map_or_else(String::new, |letter| {
            format!("; the first of them: {}: {}", letter.parcel.fact.describe(), letter.error)
        });
        Err(Failed::Stuck(format!(
            "{so_far} events are parked and {more} more would be, which is beyond \
             projector.parked_events_max = {parked_max}{last}"
        )))
    }

    fn tell_parked(&self) {
        let (projection, shard) = self.party();
        emit(ParkedCount { projection, shard, events: self.letters.events() });
    }

    fn trouble(&self, error: &sqlx::Error) {
        let (projection, shard) = self.party();
        emit(ApplyFailed { projection, shard, error });
        self.shared.postgres.raise(self.party(), "PostgreSQL does not take batches".to_owned());
    }

    async fn halt(&self, reason: &str) {
        let (projection, shard) = self.party();
        emit(Halted { projection, shard, reason });
        if let Some(trouble) = self.shared.halted.get(projection) {
            trouble.raise(shard, format!("halted in shard {shard}: {reason}"));
        }
        if let Err(error) = self.row.halt(&self.shared.pool, reason).await {
            emit(ApplyFailed { projection, shard, error: &error });
        }
    }

    fn party(&self) -> (&'static str, ShardId) {
        (self.row.projection, self.row.shard)
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Whether the same batch may work later. What PostgreSQL refuses because of the data or of the
/// statement itself (class 42) it will refuse again; a full disk, a server that stops, recovers or
/// has no connection left, a lock or a time that ran out will pass.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        error if is_about_data(error) => false,
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| code.starts_with("42")),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::BeginFailed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
