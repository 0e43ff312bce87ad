//! Reads one shard in bulk into a version that is being built.
//!
//! One task reads and decodes ahead, the other writes, with the writer that all batches have: large batches,
//! each in one transaction that begins with the same compare-and-set as any other, so that another
//! projector on the same shard loses a batch and nothing more; what does not fit is parked.
//!
//! **Invariant:** rows that a crash of PostgreSQL has wiped out are missed by no batch: each one
//! looks for the mark that was wiped out with them, and then the version starts over.

mod source;

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    log::ReadError,
    postgres::Pool,
    shutdown::Shutdown,
    task::{self, TaskFailed},
    telemetry::emit,
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::{sync::Semaphore, time::sleep};

use super::Stepped;
use crate::{
    apply::{
        MARK, RETRY,
        batch::Failed,
        events::{ApplyFailed, ReadFailed},
        is_marked, meter,
        shared::Shared,
        tables,
        write::{Phase, Writer},
    },
    store::{
        checkpoints::{self, CheckpointRow},
        letters::forget_version,
        versions::{Served, Version, VersionState, locked},
    },
};
use source::{Source, Throttle};

/// Shards that are copied at once, process-wide: what bounds the memory that batches take.
const COPIES_MAX: usize = 2;
static COPIES: Semaphore = Semaphore::const_new(COPIES_MAX);
/// A shard counts as copied when so few records are left. `follow` takes those.
const LEFT_MAX: i64 = 2_000;
/// How often a shard that is copied looks whether it still is: a crash of PostgreSQL during another shard's
/// copy takes the rows of all.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a copy does not go on from where it is.
enum Stopped {
    /// Begin again at the stored checkpoint, a little later.
    Again,
    /// The rest is for `follow`.
    Copied,
    /// As it was asked to.
    Asked,
}

/// Copies the shard and waits to be stopped.
pub(crate) async fn run(
    shared: Arc<Shared>,
    shard: ShardId,
    rate_max: Option<i32>,
    stop: Shutdown,
) -> Result<(), TaskFailed> {
    let Some(served) = shared.served.first().cloned() else { return Ok(()) };
    let row = CheckpointRow { projection: served.name(), version: served.version, shard };
    let copy = Copy { shared, served, row, stop };
    let mut waits = RETRY.waits();
    loop {
        // What is throttled takes little memory, and must not wait for those that are not.
        let turn = match rate_max {
            None => tokio::select! {
                turn = COPIES.acquire() => turn.ok(),
                () = copy.stop.requested() => None,
            },
            Some(_) => None,
        };
        let progress = copy.progress(rate_max).await;
        drop(turn);
        let wait = async {
            match progress {
                Stopped::Again => drop(waits.wait().await),
                Stopped::Copied => sleep(LOOK_INTERVAL).await,
                Stopped::Asked => copy.stop.requested().await,
            }
        };
        tokio::select! {
            biased;
            () = copy.stop.requested() => return Ok(()),
            () = wait => {}
        }
    }
}

struct Copy {
    shared: Arc<Shared>,
    served: Served,
    row: CheckpointRow,
    stop: Shutdown,
}

impl Copy {
    async fn progress(&self, rate_max: Option<i32>) -> Stopped {
        match self.row.is_copying(&self.shared.pool).await {
            Ok(true) => {}
            Ok(false) => return Stopped::Copied,
            Err(error) => return self.failed(&error),
        }
        let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
        let (shard, phase) = (self.row.shard, Phase::Building);
        let writer = match Writer::open(shared, &self.served, shard, phase, stop).await {
            Ok(writer) => writer,
            Err(error) => return self.failed(&error),
        };
        let log_end = Arc::clone(&writer.log_end);
        let meter = meter::run(Arc::clone(&self.shared), shard, log_end);
        let _meter = task::spawn("projector meter", meter);
        let throttle = Throttle::new(rate_max, self.shared.log.shard_count());
        let Writer { checkpoint, projection, .. } = writer;
        let (log, events_max) = (&self.shared.log, throttle.batch_max());
        match Source::open(log, shard, checkpoint, projection, events_max).await {
            Ok(source) => self.write_all(source, writer, throttle).await,
            Err(error) => self.unreadable(&error),
        }
    }

    async fn write_all(
        &self,
        mut source: Source,
        mut writer: Writer,
        mut throttle: Throttle,
    ) -> Stopped {
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.requested() => return Stopped::Asked,
                batch = source.next() => match batch {
                    Ok(batch) => batch,
                    Err(error) => return self.unreadable(&error),
                },
            };
            writer.log_end.ends(batch.log_end);
            writer.log_end.has_read(batch.next_offset, batch.to.next_offset);
            let at = writer.checkpoint;
            if batch.to != at {
                let commits: Vec<_> = batch.commits.iter().collect();
                if let Err(failed) = writer.apply(&commits).await {
                    return self.not_written(failed).await;
                }
                tokio::select! {
                    () = throttle.pass(batch.to.next_offset - at.next_offset) => {}
                    () = self.stop.requested() => return Stopped::Asked,
                }
            }
            if batch.log_end - batch.next_offset <= LEFT_MAX {
                return self.copied("the end of the log is near").await;
            }
        }
    }

    async fn not_written(&self, failed: Failed) -> Stopped {
        match failed {
            Failed::Stopped => Stopped::Asked,
            Failed::Lost => Stopped::Again,
            Failed::WipedOut => {
                let CheckpointRow { projection, version, .. } = self.row;
                if let Err(error) = start_over(&self.shared.pool, projection, version).await {
                    return self.failed(&error);
                }
                Stopped::Again
            }
            // `follow` meets the same, and says so.
            Failed::Full(reason) | Failed::Stuck(reason) => self.copied(&reason).await,
            Failed::Unfit | Failed::TooMuch => self.copied("the batch does not apply").await,
            Failed::Database(error) => {
                self.failed(&error);
                self.copied("PostgreSQL does not take the rows").await
            }
        }
    }

    /// `follow` takes the rest.
    async fn copied(&self, why: &str) -> Stopped {
        let CheckpointRow { projection, version, shard } = self.row;
        if let Err(error) = self.row.is_copied(&self.shared.pool).await {
            return self.failed(&error);
        }
        let detail = format!("shard {shard}: {why}");
        emit(Stepped { projection, version, state: "copied", detail: &detail });
        Stopped::Copied
    }

    fn failed(&self, error: &sqlx::Error) -> Stopped {
        let CheckpointRow { projection, shard, .. } = self.row;
        emit(ApplyFailed { projection, shard, error });
        Stopped::Again
    }

    fn unreadable(&self, error: &ReadError) -> Stopped {
        emit(ReadFailed { shard: self.row.shard, error });
        Stopped::Again
    }
}

/// Empties all tables and takes all checkpoints back to the start, unless somebody has already.
pub(crate) async fn start_over(
    pool: &Pool,
    projection: &str,
    version: i32,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let found = versions.iter().find(|it| {
        it.version == version && matches!(it.state, VersionState::Copying | VersionState::Indexing)
    });
    let Some(found) = found else { return Ok(()) };
    let schema = found.schema();
    if is_marked(&mut tx, &schema).await? {
        return Ok(());
    }
    take_back(&mut tx, found, VersionState::Copying).await?;
    let mark = format!("INSERT INTO {schema}.{MARK} VALUES (now())");
    sqlx::query(AssertSqlSafe(mark)).execute(&mut *tx).await?;
    tx.commit().await?;
    let detail = "PostgreSQL has lost its rows in a crash, so it starts over";
    emit(Stepped { projection, version, state: "copying", detail });
    Ok(())
}

/// Empties all tables of a version and takes it back to the start of the log, in this state.
pub(super) async fn take_back(
    tx: &mut PgConnection,
    version: &Version,
    state: VersionState,
) -> Result<(), sqlx::Error> {
    // The checkpoints first, as batches do: so neither waits for the other for ever.
    checkpoints::take_back(tx, version, state == VersionState::Copying).await?;
    for table in tables(tx, &version.schema()).await? {
        sqlx::query(AssertSqlSafe(format!("TRUNCATE {table}"))).execute(&mut *tx).await?;
    }
    // What was parked is met again.
    forget_version(tx, version).await?;
    let set = format!("state = '{}', problem = NULL, changed_at = now()", state.as_str());
    version.set(tx, &set).await?;
    Ok(())
}
