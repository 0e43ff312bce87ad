//! Reads one shard in bulk into a version that is being built.
//!
//! One task reads and decodes ahead, the other writes: large batches, each in one transaction that
//! begins with the same compare-and-set as any other, so that whoever else works on the shard loses
//! a batch and nothing more. What does not fit is left to the runner, which knows what to do then.
//!
//! **Invariant:** rows that a crash of PostgreSQL has wiped out are missed by no batch: each one
//! looks for the mark that was wiped out with them, and then the version starts over.

mod source;
mod throttle;

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    log::Checkpoint,
    postgres::Pool,
    shutdown::Shutdown,
    task::{self, TaskFailed},
    telemetry::emit,
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval},
};

use super::begin::{MARK, locked, tables};
use crate::{
    checkpoint::{Advance, CheckpointRow, Stand, shard_column},
    dead_letters::Corrections,
    metrics::{Applied, ApplyFailed, ReadFailed, Stepped},
    projection::Tables,
    runner::{FoldError, RETRY, Shared, horizon::Horizon, is_transient, meter},
    versions::{Served, State, schema_of},
};
pub(crate) use source::wanted;
use source::{Batch, Source};
use throttle::Throttle;

/// Shards that are copied at once, process-wide: what bounds the memory that batches take.
const COPIES_MAX: usize = 2;
static COPIES: Semaphore = Semaphore::const_new(COPIES_MAX);
/// A shard counts as copied when so few records are left. The runner takes those.
const LEFT_MAX: i64 = 2_000;
/// How often a shard that is copied looks whether it still is.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A large batch takes longer than what the pool allows a statement.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(300);

/// Why a copy does not go on from where it is.
enum Stopped {
    /// Begin again at the stored checkpoint, a little later.
    Again,
    /// The rest is for the runner.
    Copied,
    /// As it was asked to.
    Asked,
}

/// Copies the shard and waits to be stopped.
///
/// # Errors
/// If its meter panics.
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
        let goes_on = match progress {
            Stopped::Again => tokio::select! {
                _ = waits.wait() => true,
                () = copy.stop.requested() => false,
            },
            Stopped::Copied => copy.has_begun_anew().await,
            Stopped::Asked => false,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

struct Copy {
    shared: Arc<Shared>,
    served: Served,
    row: CheckpointRow,
    stop: Shutdown,
}

/// What operators have changed of the events, as of a value of the checkpoint's `letters`.
struct Touched {
    letters: i64,
    corrections: Corrections,
}

/// What keeps a batch from being written.
enum NotWritten {
    /// Somebody else moved the checkpoint.
    Lost,
    /// The rows before it are gone.
    WipedOut,
    /// An event does not fit.
    Inapplicable,
    Database(sqlx::Error),
}

impl Copy {
    /// Waits until the shard has to be copied once more: a crash of PostgreSQL during another shard's
    /// copy takes the rows of all. False if it is to stop.
    async fn has_begun_anew(&self) -> bool {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = self.stop.requested() => return false,
            }
            // While PostgreSQL is away nothing is known, and the next look tells.
            if is_copying(&self.shared, &self.row).await.unwrap_or(false) {
                return true;
            }
        }
    }

    async fn progress(&self, rate_max: Option<i32>) -> Stopped {
        let read = async {
            let pool = &self.shared.pool;
            let Stand { checkpoint, letters } = self.row.read(pool).await?;
            let corrections = Corrections::load(pool, self.row.projection, self.row.shard).await?;
            let touched = Touched { letters, corrections };
            Ok::<_, sqlx::Error>((checkpoint, touched, is_copying(&self.shared, &self.row).await?))
        };
        let (at, touched, copying) = match read.await {
            Ok(read) => read,
            Err(error) => return self.failed(&error),
        };
        if !copying {
            return Stopped::Copied;
        }
        let horizon = Arc::new(Horizon::at(at.next_offset));
        let meter = meter::run(Arc::clone(&self.shared), self.row.shard, Arc::clone(&horizon));
        let _meter = task::spawn("projector meter", meter);
        let throttle = Throttle::new(rate_max, self.shared.log.shard_count());
        let events_max = throttle.batch_max();
        let streams = self.served.fold.streams();
        let opened = Source::open(&self.shared.log, self.row.shard, at, streams, events_max).await;
        let source = match opened {
            Ok(source) => source,
            Err(error) => {
                emit(ReadFailed { shard: self.row.shard, error: &error });
                return Stopped::Again;
            }
        };
        self.write_all(source, at, &touched, &horizon, throttle).await
    }

    async fn write_all(
        &self,
        mut source: Source,
        mut at: Checkpoint,
        touched: &Touched,
        horizon: &Horizon,
        mut throttle: Throttle,
    ) -> Stopped {
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.requested() => return Stopped::Asked,
                batch = source.next() => match batch {
                    Ok(batch) => batch,
                    Err(error) => {
                        emit(ReadFailed { shard: self.row.shard, error: &error });
                        return Stopped::Again;
                    }
                },
            };
            horizon.ends(batch.log_end);
            horizon.has_read(batch.next_offset, batch.to.next_offset);
            if batch.to != at {
                if let Err(not) = self.write(&batch, &at, touched, horizon).await {
                    return self.not_written(not).await;
                }
                let passed = batch.to.next_offset - at.next_offset;
                at = batch.to;
                tokio::select! {
                    () = throttle.pass(passed) => {}
                    () = self.stop.requested() => return Stopped::Asked,
                }
            }
            if batch.log_end - batch.next_offset <= LEFT_MAX {
                return self.copied("the end of the log is near").await;
            }
        }
    }

    async fn write(
        &self,
        batch: &Batch,
        from: &Checkpoint,
        touched: &Touched,
        horizon: &Horizon,
    ) -> Result<(), NotWritten> {
        let started = Instant::now();
        let schema = self.row.schema();
        let mut tx = self.shared.pool.begin().await?;
        let patient = STATEMENT_WAIT_MAX.as_millis();
        let patient = AssertSqlSafe(format!("SET LOCAL statement_timeout = {patient}"));
        sqlx::query(patient).execute(&mut *tx).await?;
        let step = Advance {
            from,
            letters: touched.letters,
            to: &batch.to,
            recorded_at: batch.recorded_at,
            log_end: horizon.log_end(batch.to.next_offset),
        };
        if !self.row.advance(&mut tx, &step).await? {
            return Err(NotWritten::Lost);
        }
        if !is_marked(&mut tx, &schema).await? {
            return Err(NotWritten::WipedOut);
        }
        let facts: Vec<_> =
            batch.facts.iter().filter_map(|fact| touched.corrections.see(fact)).collect();
        if !facts.is_empty() {
            let mut tables = Tables::new(&mut tx, &schema, self.row.shard);
            match self.served.fold.streams().fold(&mut tables, &facts).await {
                Ok(()) => {}
                Err(FoldError::Inapplicable(_)) => return Err(NotWritten::Inapplicable),
                Err(FoldError::Database(error)) => return Err(error.into()),
            }
        }
        tx.commit().await?;
        let (projection, events) = (self.row.projection, facts.len());
        emit(Applied { projection, events, took: started.elapsed() });
        Ok(())
    }

    async fn not_written(&self, not: NotWritten) -> Stopped {
        match not {
            NotWritten::Lost => Stopped::Again,
            NotWritten::WipedOut => {
                let CheckpointRow { projection, version, .. } = self.row;
                if let Err(error) = start_over(&self.shared.pool, projection, version).await {
                    return self.failed(&error);
                }
                Stopped::Again
            }
            NotWritten::Inapplicable => self.copied("an event does not fit").await,
            NotWritten::Database(error) if is_transient(&error) => self.failed(&error),
            NotWritten::Database(error) => {
                self.failed(&error);
                self.copied("PostgreSQL does not take the rows").await
            }
        }
    }

    /// The runner takes the rest.
    async fn copied(&self, why: &str) -> Stopped {
        let CheckpointRow { projection, version, shard } = self.row;
        let marked = sqlx::query(
            "UPDATE projection.checkpoints SET copying = false
             WHERE projection = $1 AND version = $2 AND shard = $3",
        )
        .bind(projection)
        .bind(version)
        .bind(shard_column(shard))
        .execute(&self.shared.pool)
        .await;
        if let Err(error) = marked {
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
}

impl From<sqlx::Error> for NotWritten {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

async fn is_copying(shared: &Shared, row: &CheckpointRow) -> Result<bool, sqlx::Error> {
    let copying = sqlx::query_scalar(
        "SELECT copying FROM projection.checkpoints
         WHERE projection = $1 AND version = $2 AND shard = $3",
    )
    .bind(row.projection)
    .bind(row.version)
    .bind(shard_column(row.shard))
    .fetch_optional(&shared.pool)
    .await?;
    // A version that was dropped a moment ago has none.
    Ok(copying.unwrap_or(true))
}

/// Whether the rows of an unlogged build are still there.
pub(super) async fn is_marked(tx: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    let mark = format!("SELECT EXISTS (SELECT FROM {schema}.{MARK})");
    sqlx::query_scalar(AssertSqlSafe(mark)).fetch_one(tx).await
}

/// Empties all tables and takes all checkpoints back to the start, unless somebody has already.
pub(super) async fn start_over(
    pool: &Pool,
    projection: &str,
    version: i32,
) -> Result<(), sqlx::Error> {
    let schema = schema_of(projection, version);
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let is_here = versions
        .iter()
        .any(|it| it.version == version && matches!(it.state, State::Copying | State::Indexing));
    if !is_here || is_marked(&mut tx, &schema).await? {
        return Ok(());
    }
    take_back(&mut tx, projection, version, &schema, State::Copying).await?;
    let mark = format!("INSERT INTO {schema}.{MARK} VALUES (now())");
    sqlx::query(AssertSqlSafe(mark)).execute(&mut *tx).await?;
    tx.commit().await?;
    let detail = "PostgreSQL has lost its rows in a crash, so it starts over";
    emit(Stepped { projection, version, state: "copying", detail });
    Ok(())
}

/// Empties all tables of a version and takes it back to the start of the log, in this state.
///
/// # Errors
/// If PostgreSQL cannot do it.
pub(super) async fn take_back(
    tx: &mut PgConnection,
    projection: &str,
    version: i32,
    schema: &str,
    state: State,
) -> Result<(), sqlx::Error> {
    // The checkpoints first, as batches do: so neither waits for the other for ever.
    sqlx::query(
        "UPDATE projection.checkpoints SET log_id = NULL, next_offset = 0, epoch = -1,
            claim = NULL, last_seq = 0, copying = $3, last_event_at = NULL
         WHERE projection = $1 AND version = $2",
    )
    .bind(projection)
    .bind(version)
    .bind(state == State::Copying)
    .execute(&mut *tx)
    .await?;
    for table in tables(tx, schema).await? {
        sqlx::query(AssertSqlSafe(format!("TRUNCATE {table}"))).execute(&mut *tx).await?;
    }
    sqlx::query(
        "UPDATE projection.versions SET state = $3, changed_at = now()
         WHERE projection = $1 AND version = $2",
    )
    .bind(projection)
    .bind(version)
    .bind(state.as_str())
    .execute(tx)
    .await?;
    Ok(())
}
