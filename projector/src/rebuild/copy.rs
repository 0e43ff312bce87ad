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
use futures_util::future::OptionFuture;
use infra::{
    log::ReadError,
    shutdown::Shutdown,
    task::{self, TaskFailed},
    telemetry::emit,
};
use tokio::{sync::Semaphore, time::sleep};

use super::{Stepped, tables::start_over};
use crate::{
    apply::{
        RETRY,
        batch::Failed,
        events::{ApplyFailed, ReadFailed},
        meter,
        shared::{Shared, Site},
        write::{Phase, Writer},
    },
    store::{checkpoints::CheckpointRow, versions::Served},
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

/// What does not work now.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("PostgreSQL does not do it")]
    Postgres(#[from] sqlx::Error),
    #[error("the log cannot be read")]
    Log(#[from] ReadError),
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
        let turn = OptionFuture::from(rate_max.is_none().then(|| COPIES.acquire()));
        let turn = tokio::select! {
            turn = turn => turn,
            () = copy.stop.requested() => return Ok(()),
        };
        let stopped = copy.progress(rate_max).await.unwrap_or_else(|broken| copy.tell(&broken));
        drop(turn);
        let wait = async {
            match stopped {
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
    async fn progress(&self, rate_max: Option<i32>) -> Result<Stopped, Broken> {
        // While PostgreSQL is away nothing is known, and the next look tells.
        if !self.row.is_copying(&self.shared.pool).await.unwrap_or(false) {
            return Ok(Stopped::Copied);
        }
        let shard = self.row.shard;
        let site = Site::new(&self.shared, shard, self.stop.clone());
        let mut writer = Writer::open(&site, &self.served, Phase::Building).await?;
        let _meter = task::spawn("projector meter", meter::run(site));
        let mut throttle = Throttle::new(rate_max, self.shared.log.shard_count());
        let Writer { checkpoint, projection, .. } = writer;
        let (log, events_max) = (&self.shared.log, throttle.batch_max());
        let mut source = Source::open(log, shard, checkpoint, projection, events_max).await?;
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.requested() => return Ok(Stopped::Asked),
                batch = source.next() => batch?,
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
                    () = self.stop.requested() => return Ok(Stopped::Asked),
                }
            }
            if batch.log_end - batch.next_offset <= LEFT_MAX {
                return self.copied("the end of the log is near").await;
            }
        }
    }

    async fn not_written(&self, failed: Failed) -> Result<Stopped, Broken> {
        match failed {
            Failed::Stopped => Ok(Stopped::Asked),
            Failed::Lost | Failed::Database(sqlx::Error::RowNotFound) => Ok(Stopped::Again),
            Failed::WipedOut => {
                let CheckpointRow { projection, version, .. } = self.row;
                start_over(&self.shared.pool, projection, version).await?;
                Ok(Stopped::Again)
            }
            // `follow` meets the same, and says so.
            failed @ (Failed::Stuck(_) | Failed::Unfit | Failed::TooMuch) => {
                self.copied(&failed.to_string()).await
            }
            Failed::Database(error) => {
                self.tell(&error.into());
                self.copied("PostgreSQL does not take the rows").await
            }
        }
    }

    /// `follow` takes the rest.
    async fn copied(&self, why: &str) -> Result<Stopped, Broken> {
        let CheckpointRow { projection, version, shard } = self.row;
        self.row.note_copied(&self.shared.pool).await?;
        self.shared.copied.notify_one();
        let detail = format!("shard {shard}: {why}");
        emit(Stepped { projection, version, state: "copied", detail: &detail });
        Ok(Stopped::Copied)
    }

    fn tell(&self, broken: &Broken) -> Stopped {
        let CheckpointRow { projection, shard, .. } = self.row;
        match broken {
            Broken::Postgres(error) => emit(ApplyFailed { projection, shard, error }),
            Broken::Log(error) => emit(ReadFailed { shard, error }),
        }
        Stopped::Again
    }
}
