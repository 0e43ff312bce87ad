//! One shard: reads its log once and hands the commits to all projections.
//!
//! The dispatcher begins at the slowest projection that is not far behind the first; the others pass
//! over what they have, and those that are far behind catch up by themselves (`subscription`). A
//! projection that halts leaves the others alone. One whose checkpoint somebody else moved, or that
//! an operator lets go on, makes the shard begin anew from the stored checkpoints.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    log::{Checkpoint, Offset, ReadError, follow::Follower},
    shutdown::Shutdown,
    task::{self, Task, TaskFailed},
    telemetry::{chain, emit},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::info;

use super::{
    RETRY,
    applier::{Applier, Ended},
    dispatcher::{DELIVERIES_MAX, Dispatcher, Inbox, JOINS_MAX, Join},
    log_end::LogEnd,
    meter,
    shared::Shared,
    subscription::Subscription,
    write::{Phase, RECREATED, Writer},
};
use crate::{
    checkpoint::CheckpointRow,
    metrics::{ApplyFailed, Lost, ReadFailed},
};

/// Records that projections which are fed together may be apart at the beginning.
const APART_MAX: Offset = 10_000;

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
    let start_at = beginning(&writers);
    let live_at = start_at.next_offset;
    let log_end = Arc::new(LogEnd::at(live_at));
    let follower = match Follower::open(&*shared.log, shard, Some(start_at)).await {
        Ok(follower) => follower,
        Err(error) => return Ok(unreadable(shared, &rows, shard, &error).await),
    };
    shared.unreadable.clear(&shard);
    info!(shard.id = %shard, "serving shard {shard}");
    let (joins, asked) = mpsc::channel(JOINS_MAX);
    let (mut appliers, inboxes) = begin(writers, &log_end, live_at, &joins);
    let dispatcher = Dispatcher { follower, log_end: Arc::clone(&log_end), inboxes, joins: asked };
    let meter = meter::run(Arc::clone(shared), shard, Arc::clone(&log_end));
    let _meter = task::spawn("projector meter", meter);
    let over = tokio::select! {
        over = watch(&mut appliers, shared, shard) => over?,
        error = dispatcher.run() => {
            unreadable(shared, &rows, shard, &error).await
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
async fn watch(
    appliers: &mut Appliers,
    shared: &Shared,
    shard: ShardId,
) -> Result<Over, TaskFailed> {
    let mut halted = Vec::new();
    loop {
        let ended = tokio::select! {
            ended = appliers.next() => ended,
            () = any_goes_on(shared, &halted) => return Ok(Over::Again),
        };
        match ended.transpose()? {
            None => return Ok(Over::Halted(halted)),
            Some(Ended::Stopped) => {}
            Some(Ended::Halted(row)) => halted.push(row),
            Some(Ended::Lost) => {
                emit(Lost { shard });
                return Ok(Over::Again);
            }
        }
    }
}

/// Waits until one of those that are halted may go on: for ever, if none is.
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

type Appliers = FuturesUnordered<Task<Ended>>;

/// Where the dispatcher begins.
fn beginning(writers: &[Writer]) -> Checkpoint {
    let checkpoints = || writers.iter().map(|writer| writer.checkpoint);
    let highest = checkpoints().map(|at| at.next_offset).max().unwrap_or_default();
    let near = |at: &Checkpoint| at.next_offset.saturating_add(APART_MAX) >= highest;
    checkpoints().filter(near).min_by_key(|at| at.next_offset).unwrap_or_default()
}

/// Those who apply, and the inboxes of those among them that are not behind the dispatcher.
fn begin(
    writers: Vec<Writer>,
    log_end: &Arc<LogEnd>,
    live_at: Offset,
    joins: &mpsc::Sender<Join>,
) -> (Appliers, Vec<Inbox>) {
    let (appliers, mut inboxes) = (Appliers::new(), Vec::new());
    for mut writer in writers {
        // They know of the log what the dispatcher does.
        writer.log_end = Arc::clone(log_end);
        let subscription = if writer.next_offset() < live_at {
            Subscription::Closed
        } else {
            let (inbox, deliveries) = mpsc::channel(DELIVERIES_MAX);
            inboxes.push(inbox);
            Subscription::Active(deliveries)
        };
        let (joins, stop) = (joins.clone(), writer.stop.clone());
        let (waits, gathers_until) = (RETRY.waits(), Instant::now());
        let applier = Applier { writer, subscription, joins, stop, waits, gathers_until };
        appliers.push(task::spawn("projector applier", applier.run()));
    }
    (appliers, inboxes)
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
