//! Follows the log of a shard, for the versions that are fed there.
//!
//! ```text
//! log ──▶ reading: reads and decodes once ──▶ group: one transaction per batch, for all that stand level
//! log ──▶ alone: one projection that would hold up the others, until it is level
//! ```
//!
//! **Invariant:** the position comes from PostgreSQL, nowhere else.
//!
//! Projections that stand level go on together (`group`), the others by themselves (`alone`). A shard that
//! another projector is found to serve, or whose log cannot be read now, begins anew a little later.

mod alone;
mod group;
mod reading;

use std::{sync::Arc, time::Duration};

use crate::{
    apply::{
        RETRY,
        events::{ApplyFailed, ReadFailed},
        meter::LogEnd,
        shared::Shared,
        write::{Phase, RECREATED, Writer},
    },
    store::checkpoints::CheckpointRow,
};
use domain::shard::ShardId;
use group::Group;
use infra::{
    log::ReadError,
    shutdown::Shutdown,
    task::TaskFailed,
    telemetry::{chain, emit},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// A shard that was served for less is begun anew after a longer wait than the last one: two
/// projectors that take it from each other get slower until one has it.
const SERVED_MIN: Duration = Duration::from_secs(10);

/// How often what is halted looks whether it may go on.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a shard is not served any more.
enum Over {
    /// Begin anew.
    Again,
    /// Nothing will change by itself: these wait for somebody to let them go on.
    Halted(Vec<CheckpointRow>),
    Stopped,
}

/// Serves the shard until the shutdown.
pub(crate) async fn run(
    shared: Arc<Shared>,
    shard: ShardId,
    shutdown: Shutdown,
) -> Result<(), TaskFailed> {
    let mut waits = RETRY.waits();
    loop {
        let started = Instant::now();
        let over = serve(&shared, shard, &shutdown).await?;
        if started.elapsed() > SERVED_MIN {
            waits.reset();
        }
        let next = async {
            match &over {
                Over::Again => drop(waits.wait().await),
                Over::Halted(rows) => any_goes_on(&shared, rows).await,
                Over::Stopped => shutdown.requested().await,
            }
        };
        tokio::select! {
            () = next => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

async fn serve(
    shared: &Arc<Shared>,
    shard: ShardId,
    shutdown: &Shutdown,
) -> Result<Over, TaskFailed> {
    let stop = shutdown.child();
    let writers = match open(shared, shard, &stop).await {
        Ok(writers) => writers,
        Err(error) => return Ok(wait_for_postgres(shared, shard, &error)),
    };
    let rows: Vec<CheckpointRow> = writers.iter().map(|writer| writer.row).collect();
    let furthest = writers.iter().map(|writer| writer.checkpoint.next_offset).max();
    let log_end = Arc::new(LogEnd::at(furthest.unwrap_or_default()));
    match Group::new(shared, shard, &log_end, &stop).run(writers).await {
        group::Over::Stopped => Ok(Over::Stopped),
        group::Over::Lost => Ok(Over::Again),
        group::Over::Unreadable(error) => Ok(unreadable(shared, &rows, shard, &error).await),
        group::Over::Failed(failed) => Err(failed),
    }
}

/// Waits until one of those that are halted may go on.
async fn any_goes_on(shared: &Shared, halted: &[CheckpointRow]) {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.reset();
    loop {
        looks.tick().await;
        for row in halted {
            // While PostgreSQL is away nothing is known, and the next look tells.
            if row.goes_on(&shared.pool).await.unwrap_or(false) {
                return;
            }
        }
    }
}

async fn open(
    shared: &Arc<Shared>,
    shard: ShardId,
    stop: &Shutdown,
) -> Result<Vec<Writer>, sqlx::Error> {
    let mut writers = Vec::new();
    for served in &shared.served {
        let (of_all, stop) = (Arc::clone(shared), stop.clone());
        writers.push(Writer::open(of_all, served, shard, Phase::Following, stop).await?);
        shared.postgres.clear(&(served.name(), shard));
    }
    Ok(writers)
}

fn wait_for_postgres(shared: &Shared, shard: ShardId, error: &sqlx::Error) -> Over {
    for served in &shared.served {
        emit(ApplyFailed { projection: served.name(), shard, error });
        let reason = "PostgreSQL does not answer".to_owned();
        shared.postgres.raise((served.name(), shard), reason);
    }
    Over::Again
}

/// Says why the log cannot be read. What asking again will not change halts the whole shard.
async fn unreadable(
    shared: &Shared,
    rows: &[CheckpointRow],
    shard: ShardId,
    error: &ReadError,
) -> Over {
    emit(ReadFailed { shard, error });
    let advice = match error {
        ReadError::Unavailable(_) => {
            shared.unreadable.raise(shard, format!("shard {shard}: {}", chain(error)));
            return Over::Again;
        }
        ReadError::Recreated { .. } | ReadError::OutOfRange { .. } => RECREATED,
        ReadError::UnsupportedVersion { .. } => "run a release that reads it",
        ReadError::NoSuchShard(_) | ReadError::Halted(_) | ReadError::Failed(_) => {
            "the topic must be repaired"
        }
    };
    let reason = format!("shard {shard}: {}; {advice}", chain(error));
    shared.unreadable.raise(shard, reason.clone());
    for row in rows {
        if let Err(error) = row.note_halt(&shared.pool, Some(&reason)).await {
            emit(ApplyFailed { projection: row.projection, shard, error: &error });
        }
    }
    Over::Halted(rows.to_vec())
}
