//! The projections of a shard that are not in the group: those who are alone, and those who halt.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    log::{Offset, ReadError},
    shutdown::Shutdown,
    task::{self, Task, TaskFailed},
    telemetry::{
        Event, emit,
        metric::{Counter, NO_LABELS},
    },
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use super::decide::{Away, NOWHERE, alone_for};
use crate::{
    apply::{meter::LogEnd, shared::Shared, write::Writer},
    follow::alone::{Alone, Ended},
    store::checkpoints::CheckpointRow,
};

static LEFT: Counter = Counter::new(
    "tradewind_projector_left_total",
    "Times that a projection went on by itself, for it would have held up the others of its shard, by projection",
);
static LOST: Counter = Counter::new(
    "tradewind_projector_lost_total",
    "Times that another projector was found to serve a shard",
);

/// How often what is halted looks whether it may go on.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Outside {
    shared: Arc<Shared>,
    shard: ShardId,
    stop: Shutdown,
    log_end: Arc<LogEnd>,
    /// Where the group stands.
    group: Arc<AtomicI64>,
    alone: FuturesUnordered<Task<Ended>>,
    away: BTreeMap<&'static str, Away>,
    halted: Vec<CheckpointRow>,
    looks: Interval,
}

/// Why a group ends.
pub(in crate::follow) enum Over {
    Stopped,
    /// Somebody else serves the shard.
    Lost,
    Unreadable(ReadError),
    Failed(TaskFailed),
}

impl From<ReadError> for Over {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

/// Another projector serves the shard, and it is told.
pub(super) fn lost(shard: ShardId) -> Over {
    emit(Lost { shard });
    Over::Lost
}

/// It is one of the group again, and it is told.
pub(super) fn came_back(row: CheckpointRow) {
    emit(CameBack { row });
}

impl Outside {
    pub(super) fn new(
        shared: &Arc<Shared>,
        shard: ShardId,
        log_end: &Arc<LogEnd>,
        stop: &Shutdown,
    ) -> Self {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            shared: Arc::clone(shared),
            shard,
            stop: stop.clone(),
            log_end: Arc::clone(log_end),
            group: Arc::new(AtomicI64::new(NOWHERE)),
            alone: FuturesUnordered::new(),
            away: BTreeMap::new(),
            halted: Vec::new(),
            looks,
        }
    }

    /// Those who are alone may come back there: where the group stands, or will when the batch that is
    /// under way is in.
    pub(super) fn group_is_at(&self, offset: Offset) {
        self.group.store(offset, Ordering::Relaxed);
    }

    /// It holds up the others, and goes on by itself for a while.
    pub(super) fn leaves(&mut self, row: CheckpointRow, why: &str) {
        emit(LeftOthers { row, why });
        let now = Instant::now();
        let wait = alone_for(self.away.get(row.projection), now);
        self.away.insert(row.projection, Away { since: now, wait });
        self.go_alone(row, now + wait, false);
    }

    /// It begins, or was let go on, and is not level.
    pub(super) fn begins(&mut self, row: CheckpointRow) {
        self.go_alone(row, Instant::now(), true);
    }

    /// The group has overtaken it.
    pub(super) fn comes_again(&mut self, row: CheckpointRow) {
        self.go_alone(row, Instant::now(), false);
    }

    fn go_alone(&mut self, row: CheckpointRow, until: Instant, resumes: bool) {
        let served = self.shared.served.iter().find(|served| served.name() == row.projection);
        let Some(served) = served.cloned() else { return };
        let alone = Alone {
            shared: Arc::clone(&self.shared),
            served,
            shard: self.shard,
            log_end: Arc::clone(&self.log_end),
            stop: self.stop.clone(),
            group: Arc::clone(&self.group),
            until,
            resumes,
        };
        self.alone.push(task::spawn("projector alone", alone.run()));
    }

    /// Waits for the next who ends being alone, for ever if nobody is; nobody if it is time to look.
    /// Safe to drop and to call again.
    pub(super) async fn next(&mut self) -> Result<Option<Ended>, TaskFailed> {
        let (alone, looks) = (&mut self.alone, &mut self.looks);
        let is_alone = !alone.is_empty();
        tokio::select! {
            Some(ended) = alone.next(), if is_alone => ended.map(Some),
            _ = looks.tick(), if !self.halted.is_empty() => Ok(None),
            else => std::future::pending().await,
        }
    }

    /// Takes note of it, and tells who comes back. Whom somebody has let go on does so from the stored
    /// checkpoint.
    pub(super) async fn take(&mut self, ended: Option<Ended>) -> Result<Option<Writer>, Over> {
        match ended {
            Some(Ended::Stopped | Ended::Gone) => {}
            Some(Ended::Lost) => return Err(lost(self.shard)),
            Some(Ended::Unreadable(error)) => return Err(error.into()),
            Some(Ended::Level(writer)) => return Ok(Some(*writer)),
            Some(Ended::Halted(row)) => {
                self.looks.reset();
                self.halted.push(row);
            }
            None => {
                for row in std::mem::take(&mut self.halted) {
                    // While PostgreSQL is away nothing is known, and the next look tells.
                    if row.goes_on(&self.shared.pool).await.unwrap_or(false) {
                        self.begins(row);
                    } else {
                        self.halted.push(row);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Waits until all have ended.
    pub(super) async fn end(&mut self) -> Result<(), TaskFailed> {
        while let Some(ended) = self.alone.next().await {
            ended?;
        }
        Ok(())
    }
}

/// A projection goes on by itself in a shard.
struct LeftOthers<'r> {
    row: CheckpointRow,
    why: &'r str,
}

impl Event for LeftOthers<'_> {
    fn emit(self) {
        let Self { row: CheckpointRow { projection, version, shard }, why } = self;
        LEFT.add(&[("projection", projection)], 1);
        info!(
            projection, version, shard.id = %shard,
            "{projection} v{version} goes on by itself in shard {shard}: {why}"
        );
    }
}

/// A projection that was by itself in a shard goes on with the others.
struct CameBack {
    row: CheckpointRow,
}

impl Event for CameBack {
    fn emit(self) {
        let CheckpointRow { projection, version, shard } = self.row;
        info!(
            projection, version, shard.id = %shard,
            "{projection} v{version} goes on with the others in shard {shard}"
        );
    }
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
