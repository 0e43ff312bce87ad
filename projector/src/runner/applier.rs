//! Carries one projection through one shard, batch by batch.
//!
//! A batch is what has arrived, up to a bound: nobody lingers for events, so a lone one becomes
//! visible at once, and under load batches grow by themselves.
//!
//! **Invariant:** a batch's rows and its checkpoint are written in one transaction, which begins
//! with the compare-and-set. After an answer that was lost, the stored checkpoint decides whether
//! the batch is in; nothing is assumed.

use std::{sync::Arc, time::Duration};

use domain::{StreamType, shard::ShardId};
use infra::{
    log::Checkpoint,
    shutdown::Shutdown,
    telemetry::{chain, emit},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    RETRY,
    commit::{Commit, Fact},
    feed::Delivery,
    fold::{Fold, FoldError},
    horizon::Horizon,
    shard::RECREATED,
    shared::Shared,
};
use crate::{
    checkpoint::{Advance, CheckpointRow},
    metrics::{Applied, ApplyFailed, Halted, Resumed},
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
    Lost,
    /// The commit with this index of the batch does not fit.
    Inapplicable {
        commit: usize,
        reason: String,
    },
    Database(sqlx::Error),
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
                Failed::Inapplicable { reason, .. } => reason,
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

    /// Applies all commits, or those before the first that does not fit.
    async fn apply(&mut self, commits: &[&Commit]) -> Result<(), Failed> {
        let Some(first) = commits.first() else { return Ok(()) };
        if self.checkpoint.log_id.is_some() && self.checkpoint.log_id != first.checkpoint.log_id {
            let reason = format!("the log was made anew; {RECREATED}");
            return Err(Failed::Inapplicable { commit: 0, reason });
        }
        match self.write_patiently(commits).await {
            Err(Failed::Inapplicable { commit, reason }) if commit > 0 => {
                self.write_patiently(&commits[..commit]).await?;
                Err(Failed::Inapplicable { commit: 0, reason })
            }
            result => result,
        }
    }

    /// Writes one batch, however long PostgreSQL is away.
    async fn write_patiently(&mut self, commits: &[&Commit]) -> Result<(), Failed> {
        let Some(last) = commits.last() else { return Ok(()) };
        let mut waits = RETRY.waits();
        let mut written = self.write(commits).await;
        loop {
            match written {
                Err(Failed::Database(error)) if is_transient(&error) => {
                    self.trouble(&error);
                    tokio::select! {
                        _ = waits.wait() => {}
                        () = self.stop.requested() => return Err(Failed::Stopped),
                    }
                }
                Ok(()) => break,
                Err(failed) => return Err(failed),
            }
            // Whether the last try went through, only the stored checkpoint knows.
            written = match self.row.read(&self.shared.pool).await {
                Ok(stored) if stored == last.checkpoint => Ok(()),
                Ok(stored) if stored == self.checkpoint => self.write(commits).await,
                Ok(_) => Err(Failed::Lost),
                Err(error) => Err(Failed::Database(error)),
            };
        }
        self.shared.postgres.clear(&self.party());
        self.checkpoint = last.checkpoint;
        Ok(())
    }

    async fn write(&self, commits: &[&Commit]) -> Result<(), Failed> {
        let Some(last) = commits.last() else { return Ok(()) };
        let started = Instant::now();
        let stream = self.projection.stream();
        let (facts, homes): (Vec<&Fact>, Vec<usize>) = commits
            .iter()
            .enumerate()
            .flat_map(|(home, commit)| wanted(commit, stream).map(move |fact| (fact, home)))
            .unzip();
        let mut tx = self.shared.pool.begin().await?;
        let step = Advance {
            from: &self.checkpoint,
            to: &last.checkpoint,
            recorded_at: last.recorded_at,
            log_end: self.horizon.log_end(last.checkpoint.next_offset),
        };
        if !self.row.advance(&mut tx, &step).await? {
            return Err(Failed::Lost);
        }
        if !facts.is_empty() {
            let schema = self.row.schema();
            let mut tables = Tables::new(&mut tx, &schema, self.row.shard);
            let folded = self.projection.fold(&mut tables, &facts).await;
            folded.map_err(|error| Failed::from_fold(error, &facts, &homes))?;
        }
        tx.commit().await?;
        emit(Applied {
            projection: self.row.projection,
            events: facts.len(),
            took: started.elapsed(),
        });
        Ok(())
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

impl Failed {
    fn from_fold(error: FoldError, facts: &[&Fact], homes: &[usize]) -> Self {
        match error {
            FoldError::Database(error) => Self::Database(error),
            FoldError::Inapplicable { index, source } => {
                let commit = homes.get(index).copied().unwrap_or(0);
                let reason = facts.get(index).map_or_else(
                    || source.to_string(),
                    |Fact { id, stream, revision, .. }| {
                        format!("event {id} ({stream}, revision {revision}): {source}")
                    },
                );
                Self::Inapplicable { commit, reason }
            }
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

fn wanted(commit: &Commit, stream: StreamType) -> impl Iterator<Item = &Fact> {
    commit.facts.iter().filter(move |fact| fact.stream.stream_type() == stream)
}

/// Whether the same batch may work later. What PostgreSQL refuses because of the data (class 22),
/// a constraint (23) or the statement itself (42) it will refuse again.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => !error
            .code()
            .is_some_and(|code| ["22", "23", "42"].iter().any(|class| code.starts_with(class))),
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
