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
    postgres::Pool,
    shutdown::Shutdown,
    task::{self, TaskFailed},
    telemetry::emit,
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};

use super::Stepped;
use crate::{
    apply::{
        MARK, RETRY,
        batch::Failed,
        events::{ApplyFailed, ReadFailed},
        is_marked, meter,
        shared::{Shared, Site},
        tables,
        write::{Phase, Writer},
    },
    rows::shard_column,
    store::{
        checkpoints::CheckpointRow,
        letters::forget_version,
        versions::{Served, Version, VersionState, locked, schema_of},
    },
};
use source::{Source, Throttle};

/// Shards that are copied at once, process-wide: what bounds the memory that batches take.
const COPIES_MAX: usize = 2;
static COPIES: Semaphore = Semaphore::const_new(COPIES_MAX);
/// A shard counts as copied when so few records are left. `follow` takes those.
const LEFT_MAX: i64 = 2_000;
/// How often a shard that is copied looks whether it still is.
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
        let opened = async {
            let site = Site::new(&self.shared, self.row.shard, self.stop.clone());
            let writer = Writer::open(&site, &self.served, Phase::Building).await?;
            Ok::<_, sqlx::Error>((writer, is_copying(&self.shared, &self.row).await?))
        };
        let (writer, copying) = match opened.await {
            Ok(opened) => opened,
            Err(error) => return self.failed(&error),
        };
        if !copying {
            return Stopped::Copied;
        }
        let _meter = task::spawn("projector meter", meter::run(writer.site.clone()));
        let throttle = Throttle::new(rate_max, self.shared.log.shard_count());
        let Writer { row, checkpoint, projection, .. } = writer;
        let (log, events_max) = (&self.shared.log, throttle.batch_max());
        let opened = Source::open(log, row.shard, checkpoint, projection, events_max).await;
        let source = match opened {
            Ok(source) => source,
            Err(error) => {
                emit(ReadFailed { shard: self.row.shard, error: &error });
                return Stopped::Again;
            }
        };
        self.write_all(source, writer, throttle).await
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
                    Err(error) => {
                        emit(ReadFailed { shard: self.row.shard, error: &error });
                        return Stopped::Again;
                    }
                },
            };
            writer.site.log_end.ends(batch.log_end);
            writer.site.log_end.has_read(batch.next_offset, batch.to.next_offset);
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
            Failed::Lost | Failed::Database(sqlx::Error::RowNotFound) => Stopped::Again,
            Failed::WipedOut => {
                let CheckpointRow { projection, version, .. } = self.row;
                if let Err(error) = start_over(&self.shared.pool, projection, version).await {
                    return self.failed(&error);
                }
                Stopped::Again
            }
            // `follow` meets the same, and says so.
            failed @ (Failed::Stuck(_) | Failed::Unfit | Failed::TooMuch) => {
                self.copied(&failed.to_string()).await
            }
            Failed::Database(error) => {
                self.failed(&error);
                self.copied("PostgreSQL does not take the rows").await
            }
        }
    }

    /// `follow` takes the rest.
    async fn copied(&self, why: &str) -> Stopped {
        let CheckpointRow { projection, version, shard } = self.row;
        let marked = self.row.query(
            "UPDATE projection.checkpoints SET copying = false
             WHERE projection = $1 AND version = $2 AND shard = $3",
        );
        if let Err(error) = marked.execute(&self.shared.pool).await {
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

/// Empties all tables and takes all checkpoints back to the start, unless somebody has already.
pub(crate) async fn start_over(
    pool: &Pool,
    projection: &str,
    version: i32,
) -> Result<(), sqlx::Error> {
    let schema = schema_of(projection, version);
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let is_here = versions.iter().any(|it| {
        it.version == version && matches!(it.state, VersionState::Copying | VersionState::Indexing)
    });
    if !is_here || is_marked(&mut tx, &schema).await? {
        return Ok(());
    }
    take_back(&mut tx, projection, version, &schema, VersionState::Copying).await?;
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
    projection: &str,
    version: i32,
    schema: &str,
    state: VersionState,
) -> Result<(), sqlx::Error> {
    // The checkpoints first, as batches do: so neither waits for the other for ever.
    sqlx::query(
        "UPDATE projection.checkpoints SET log_id = NULL, next_offset = 0, epoch = -1,
            claim = NULL, last_seq = 0, copying = $3, last_event_at = NULL
         WHERE projection = $1 AND version = $2",
    )
    .bind(projection)
    .bind(version)
    .bind(state == VersionState::Copying)
    .execute(&mut *tx)
    .await?;
    for table in tables(tx, schema).await? {
        sqlx::query(AssertSqlSafe(format!("TRUNCATE {table}"))).execute(&mut *tx).await?;
    }
    // What was parked is met again.
    forget_version(tx, projection, version).await?;
    let set = format!("state = '{}', problem = NULL, changed_at = now()", state.as_str());
    Version::set(tx, projection, version, &set).await?;
    Ok(())
}
