//! The projections of a shard that are not in the group: those who are alone, and those who halt.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    log::Offset,
    task::{self, Task, TaskFailed},
    telemetry::{Event, emit, metric::Counter},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tracing::info;

use super::decide::{Away, NOWHERE, alone_for};
use crate::{
    apply::{shared::Site, write::Writer},
    follow::alone::{Alone, Ended, LOOK_INTERVAL, Over},
    store::checkpoints::{CheckpointRow, Member},
};

static LEFT: Counter = Counter::new(
    "tradewind_projector_left_total",
    "Times that a projection went on by itself, for it would have held up the others of its shard, by projection",
);

pub(super) struct Outside {
    site: Site,
    /// Where the group stands.
    group: Arc<AtomicI64>,
    alone: FuturesUnordered<Task<Result<Ended, Over>>>,
    away: BTreeMap<&'static str, Away>,
    halted: Vec<Member>,
    looks: Interval,
}

impl Outside {
    pub(super) fn new(site: &Site) -> Self {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            site: site.clone(),
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

    /// The group has overtaken it, or operators have changed what is parked of it.
    pub(super) fn comes_again(&mut self, row: CheckpointRow) {
        self.go_alone(row, Instant::now(), false);
    }

    /// It is one of the group.
    pub(super) fn is_back(&self, CheckpointRow { projection, version, shard }: CheckpointRow) {
        if self.away.contains_key(projection) {
            info!(
                projection, version, shard.id = %shard,
                "{projection} v{version} goes on with the others in shard {shard}"
            );
        }
    }

    fn go_alone(&mut self, row: CheckpointRow, until: Instant, resumes: bool) {
        let mut all = self.site.shared.served.iter();
        let Some(served) = all.find(|served| served.name() == row.projection) else { return };
        let (site, served, group) = (self.site.clone(), served.clone(), Arc::clone(&self.group));
        let alone = Alone { site, served, group, until, resumes };
        self.alone.push(task::spawn("projector alone", alone.run()));
    }

    /// Waits for the next who ends being alone, for ever if nobody is; nobody if it is time to look.
    /// Safe to drop and to call again.
    pub(super) async fn next(&mut self) -> Result<Option<Ended>, Over> {
        let (alone, looks) = (&mut self.alone, &mut self.looks);
        let is_alone = !alone.is_empty();
        tokio::select! {
            Some(ended) = alone.next(), if is_alone => ended.map_err(Over::Failed)?.map(Some),
            _ = looks.tick(), if !self.halted.is_empty() => Ok(None),
            else => std::future::pending().await,
        }
    }

    /// Takes note of it, and tells who comes back. Whom somebody has let go on does so from the stored
    /// checkpoint.
    pub(super) async fn take(&mut self, ended: Option<Ended>) -> Option<Writer> {
        match ended {
            Some(Ended::Level(writer)) => return Some(*writer),
            Some(Ended::Gone) => {}
            Some(Ended::Halted(member)) => {
                self.looks.reset();
                self.halted.push(member);
            }
            None => {
                for (row, letters) in std::mem::take(&mut self.halted) {
                    // While PostgreSQL is away nothing is known, and the next look tells.
                    if row.goes_on(letters, &self.site.shared.batches).await.unwrap_or(false) {
                        self.begins(row);
                    } else {
                        self.halted.push((row, letters));
                    }
                }
            }
        }
        None
    }

    /// Waits until all have ended.
    pub(super) async fn end(&mut self) -> Result<(), TaskFailed> {
        while let Some(ended) = self.alone.next().await {
            drop(ended?);
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
