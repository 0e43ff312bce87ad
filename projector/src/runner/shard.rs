//! One shard: reads its log once and hands the commits to all projections.
//!
//! The feed begins where the slowest projection stands; the others pass over what they have. A
//! projection that halts leaves the others alone; one whose checkpoint somebody else moved makes the
//! shard begin anew from the stored checkpoints.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    log::{Checkpoint, ReadError, follow::Follower},
    shutdown::Shutdown,
    task::{self, Task, TaskFailed},
    telemetry::{chain, emit},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    RETRY,
    applier::{Applier, Ended},
    feed,
    horizon::Horizon,
    meter,
    shared::Shared,
};
use crate::{
    checkpoint::CheckpointRow,
    metrics::{ApplyFailed, Lost, ReadFailed, Serving},
};

/// Deliveries that wait for a projection; then the feed waits, and with it the shard.
const DELIVERIES_MAX: usize = 4;

/// What helps when the topic is not the one that the tables were made from.
pub(super) const RECREATED: &str = "restore the topic that the read models were made from, or drop their \
    schemas and checkpoints so that they are made anew";

/// A shard that was served for less is begun anew after a longer wait than the last one: two
/// projectors that take it from each other get slower until one has it.
const SERVED_MIN: Duration = Duration::from_secs(10);

/// Why a shard is not served any more.
enum Over {
    /// Begin anew.
    Again,
    /// Nothing will change by itself.
    Halted,
    Stopped,
}

/// Serves the shard until the shutdown.
///
/// # Errors
/// If one of its tasks panics.
pub(super) async fn run(
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
        tokio::select! {
            _ = waits.wait(), if matches!(over, Over::Again) => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

async fn serve(
    shared: &Arc<Shared>,
    shard: ShardId,
    shutdown: &Shutdown,
) -> Result<Over, TaskFailed> {
    let places = match places(shared, shard).await {
        Ok(places) => places,
        Err(error) => return Ok(wait_for_postgres(shared, shard, &error)),
    };
    let lowest = places.iter().map(|place| &place.checkpoint).min_by_key(|at| at.next_offset);
    let lowest = lowest.copied().unwrap_or_default();
    let horizon = Arc::new(Horizon::at(lowest.next_offset));
    let follower = match Follower::open(&*shared.log, shard, Some(lowest)).await {
        Ok(follower) => follower,
        Err(error) => return Ok(unreadable(shared, &places, shard, &error).await),
    };
    shared.unreadable.clear(&shard);
    emit(Serving { shard });
    let stop = shutdown.child();
    let (mut appliers, inboxes) = start(shared, &places, &horizon, &stop);
    let meter = meter::run(Arc::clone(shared), shard, Arc::clone(&horizon));
    let _meter = task::spawn("projector meter", meter);
    let over = tokio::select! {
        over = watch(&mut appliers, shard) => over?,
        error = feed::run(follower, horizon, inboxes) => {
            unreadable(shared, &places, shard, &error).await
        }
        () = shutdown.requested() => Over::Stopped,
    };
    // Batches that are under way end by themselves. A transaction must never be dropped half-way:
    // one that is dropped while it begins stays open in the pool, and with it its locks.
    stop.request();
    while let Some(ended) = appliers.next().await {
        ended?;
    }
    Ok(over)
}

/// Waits until the appliers have a reason to end the shard.
async fn watch(appliers: &mut Appliers, shard: ShardId) -> Result<Over, TaskFailed> {
    while let Some(ended) = appliers.next().await {
        if ended? == Ended::Lost {
            emit(Lost { shard });
            return Ok(Over::Again);
        }
    }
    Ok(Over::Halted)
}

/// Where a projection stands in the shard.
struct Place {
    projection: Arc<dyn super::Fold>,
    row: CheckpointRow,
    checkpoint: Checkpoint,
}

async fn places(shared: &Shared, shard: ShardId) -> Result<Vec<Place>, sqlx::Error> {
    let mut places = Vec::new();
    for served in &shared.served {
        let row = CheckpointRow { projection: served.name(), version: served.version, shard };
        let checkpoint = row.read(&shared.pool).await?;
        shared.postgres.clear(&(row.projection, shard));
        places.push(Place { projection: Arc::clone(&served.fold), row, checkpoint });
    }
    Ok(places)
}

type Appliers = FuturesUnordered<Task<Ended>>;

fn start(
    shared: &Arc<Shared>,
    places: &[Place],
    horizon: &Arc<Horizon>,
    stop: &Shutdown,
) -> (Appliers, Vec<feed::Inbox>) {
    places
        .iter()
        .map(|Place { projection, row, checkpoint }| {
            let (sender, inbox) = mpsc::channel(DELIVERIES_MAX);
            let applier = Applier {
                shared: Arc::clone(shared),
                projection: Arc::clone(projection),
                row: *row,
                checkpoint: *checkpoint,
                horizon: Arc::clone(horizon),
                stop: stop.clone(),
                inbox,
            };
            (task::spawn("projector applier", applier.run()), sender)
        })
        .unzip()
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
async fn unreadable(shared: &Shared, places: &[Place], shard: ShardId, error: &ReadError) -> Over {
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
    for Place { row, .. } in places {
        if let Err(error) = row.halt(&shared.pool, &reason).await {
            emit(ApplyFailed { projection: row.projection, shard, error: &error });
        }
    }
    Over::Halted
}
