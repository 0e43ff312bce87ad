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
        shared::{Shared, Site},
        write::{Phase, Writer},
    },
    store::checkpoints::Member,
};
use alone::{LOOK_INTERVAL, Over};
use domain::shard::ShardId;
use group::Group;
use infra::{
    log::ReadError,
    shutdown::Shutdown,
    task::TaskFailed,
    telemetry::{
        Event, chain, emit,
        metric::{Counter, NO_LABELS},
    },
};
use tokio::time::{Instant, sleep};
use tracing::warn;

static LOST: Counter = Counter::new(
    "tradewind_projector_lost_total",
    "Times that another projector was found to serve a shard",
);

/// A shard that was served for less is begun anew after a longer wait than the last one: two
/// projectors that take it from each other get slower until one has it.
const SERVED_MIN: Duration = Duration::from_secs(10);

/// Serves the shard until the shutdown.
pub(crate) async fn run(
    shared: Arc<Shared>,
    shard: ShardId,
    shutdown: Shutdown,
) -> Result<(), TaskFailed> {
    let mut waits = RETRY.waits();
    loop {
        let started = Instant::now();
        let site = Site::new(&shared, shard, shutdown.child());
        let halted = serve(&site).await?;
        if started.elapsed() > SERVED_MIN {
            waits.reset();
        }
        let next = async {
            if halted.is_empty() {
                waits.wait().await;
            } else {
                any_goes_on(&shared, &halted).await;
            }
        };
        tokio::select! {
            () = next => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

/// Serves the shard as long as that works. Those that it answers wait for somebody to let them go on, for
/// nothing will change by itself; without any it begins anew.
async fn serve(site: &Site) -> Result<Vec<Member>, TaskFailed> {
    let mut writers = Vec::new();
    for served in &site.shared.served {
        match Writer::open(site, served, Phase::Following).await {
            Ok(writer) => writers.push(writer),
            Err(error) => {
                site.report_failure(served.name(), &error);
                return Ok(Vec::new());
            }
        }
    }
    let members: Vec<Member> = writers.iter().map(Writer::compared).collect();
    match Group::new(site).run(writers).await {
        Over::Stopped => {}
        Over::Lost => emit(Lost { shard: site.shard }),
        Over::Unreadable(error) => return Ok(unreadable(site, members, &error).await),
        Over::Failed(failed) => return Err(failed),
    }
    Ok(Vec::new())
}

/// Waits until one of those that are halted may go on.
async fn any_goes_on(shared: &Shared, halted: &[Member]) {
    loop {
        sleep(LOOK_INTERVAL).await;
        for (row, letters) in halted {
            // While PostgreSQL is away nothing is known, and the next look tells.
            if row.goes_on(*letters, &shared.batches).await.unwrap_or(false) {
                return;
            }
        }
    }
}

/// Says why the log cannot be read. What asking again will not change halts the whole shard.
async fn unreadable(site: &Site, members: Vec<Member>, error: &ReadError) -> Vec<Member> {
    let Site { shared, shard, .. } = site;
    emit(ReadFailed { shard: *shard, error });
    if let ReadError::Unavailable(_) = error {
        shared.unreadable.raise(*shard, format!("shard {shard}: {}", chain(error)));
        return Vec::new();
    }
    let reason = alone::unreadable(*shard, error);
    shared.unreadable.raise(*shard, reason.clone());
    for (row, _) in &members {
        if let Err(error) = row.note_halt(&shared.pool, Some(&reason)).await {
            emit(ApplyFailed { projection: row.projection, shard: *shard, error: &error });
        }
    }
    members
}

/// Another projector serves the shard.
struct Lost {
    shard: ShardId,
}

impl Event for Lost {
    fn emit(self) {
        LOST.add(NO_LABELS, 1);
        warn!(shard.id = %self.shard, "another projector serves shard {}", self.shard);
    }
}
