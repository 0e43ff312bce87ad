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
    applier::{Applier, Delivery, Ended, RETRY},
    commit::Commit,
    fold::Fold,
    horizon::Horizon,
    meter,
    shared::Shared,
};
use crate::{
    checkpoint::CheckpointRow,
    metrics::{ApplyFailed, Lost, ReadFailed, Serving},
};

/// Commits that the feed reads and decodes at once.
const DELIVERY_COMMITS_MAX: usize = 1_000;
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
}

/// Serves the shard until the shutdown. What is under way then is rolled back and folded anew by
/// whoever serves the shard next.
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
        let over = tokio::select! {
            over = serve(&shared, shard) => over?,
            () = shutdown.requested() => break,
        };
        if started.elapsed() > SERVED_MIN {
            waits.reset();
        }
        tokio::select! {
            _ = waits.wait(), if matches!(over, Over::Again) => {}
            () = shutdown.requested() => break,
        }
    }
    shared.unreadable.clear(&shard);
    Ok(())
}

async fn serve(shared: &Arc<Shared>, shard: ShardId) -> Result<Over, TaskFailed> {
    let places = match places(shared, shard).await {
        Ok(places) => places,
        Err(error) => return Ok(wait_for_postgres(shared, shard, &error)),
    };
    let lowest = places.iter().map(|place| &place.checkpoint).min_by_key(|at| at.next_offset);
    let lowest = lowest.cloned().unwrap_or_default();
    let horizon = Arc::new(Horizon::at(lowest.next_offset));
    let follower = match Follower::open(&*shared.log, shard, Some(lowest)).await {
        Ok(follower) => follower,
        Err(error) => return Ok(unreadable(shared, &places, shard, &error).await),
    };
    shared.unreadable.clear(&shard);
    emit(Serving { shard });
    let (mut appliers, inboxes) = start(shared, &places, &horizon);
    let meter = meter::run(Arc::clone(shared), shard, Arc::clone(&horizon));
    let _meter = task::spawn("projector meter", meter);
    let feeding = feed(follower, horizon, inboxes);
    tokio::pin!(feeding);
    loop {
        tokio::select! {
            Some(ended) = appliers.next() => match ended? {
                Ended::Lost => {
                    emit(Lost { shard });
                    return Ok(Over::Again);
                }
                Ended::Halted if appliers.is_empty() => return Ok(Over::Halted),
                Ended::Fed | Ended::Halted => {}
            },
            error = &mut feeding => return Ok(unreadable(shared, &places, shard, &error).await),
        }
    }
}

/// Where a projection stands in the shard.
struct Place {
    projection: Arc<dyn Fold>,
    row: CheckpointRow,
    checkpoint: Checkpoint,
}

async fn places(shared: &Shared, shard: ShardId) -> Result<Vec<Place>, sqlx::Error> {
    let mut places = Vec::new();
    for projection in &shared.projections {
        let row =
            CheckpointRow { projection: projection.name(), version: projection.version(), shard };
        let checkpoint = row.read(&shared.pool).await?;
        shared.postgres.clear(&(row.projection, shard));
        places.push(Place { projection: Arc::clone(projection), row, checkpoint });
    }
    Ok(places)
}

type Appliers = FuturesUnordered<Task<Ended>>;
type Inboxes = Vec<mpsc::Sender<Delivery>>;

fn start(shared: &Arc<Shared>, places: &[Place], horizon: &Arc<Horizon>) -> (Appliers, Inboxes) {
    places
        .iter()
        .map(|Place { projection, row, checkpoint }| {
            let (sender, inbox) = mpsc::channel(DELIVERIES_MAX);
            let applier = Applier {
                shared: Arc::clone(shared),
                projection: Arc::clone(projection),
                row: *row,
                checkpoint: checkpoint.clone(),
                horizon: Arc::clone(horizon),
                inbox,
            };
            (task::spawn("projector applier", applier.run()), sender)
        })
        .unzip()
}

/// Reads, decodes and hands out until the log cannot be read.
async fn feed(mut follower: Follower, horizon: Arc<Horizon>, mut inboxes: Inboxes) -> ReadError {
    loop {
        let commits = match follower.next(DELIVERY_COMMITS_MAX).await {
            Ok(commits) => commits,
            Err(error) => return error,
        };
        horizon.has_read(follower.next_offset(), follower.checkpoint().next_offset);
        if commits.is_empty() {
            continue;
        }
        let log_id = follower.checkpoint().log_id;
        let delivery: Delivery =
            commits.iter().map(|commit| Commit::decode(log_id, commit)).collect();
        // A closed inbox belongs to a projection that has ended; its end says why.
        inboxes.retain(|inbox| !inbox.is_closed());
        for inbox in &inboxes {
            inbox.send(Arc::clone(&delivery)).await.ok();
        }
    }
}

fn wait_for_postgres(shared: &Shared, shard: ShardId, error: &sqlx::Error) -> Over {
    for projection in &shared.projections {
        emit(ApplyFailed { projection: projection.name(), shard, error });
        let reason = "PostgreSQL does not answer".to_owned();
        shared.postgres.raise((projection.name(), shard), reason);
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
