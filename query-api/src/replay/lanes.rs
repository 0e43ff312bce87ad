//! The shards of a replay, each read ahead of what is shown, and which of them has its turn.
//!
//! A lane is one shard: a task reads it and holds one batch ready, and no more is read until that has
//! been taken. Which lane's next commit is shown is a pure decision ([`turn`]):
//! - by **shard**, one lane after the other; a replay without an end takes them round about;
//! - by **time**, the commit that was recorded first, of what is next in all lanes. A lane that has nothing
//!   ready is waited for. Where there is no end, it may stay quiet for long; what is next in the others
//!   goes on once it is [`HELD`] old, and the quiet lane was found level with its log since.
//!
//! **Invariant:** a lane's own commits come in the order of its log, whatever their times.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use domain::{shard::ShardId, timestamp::Timestamp};
use infra::{
    clock::Clock,
    log::{
        Checkpoint, Commit, EventLog, LogId, Offset, ReadError,
        join::{Begin, Midway, recorded_at},
    },
    task::{self, Task},
};
use tokio::sync::mpsc::{self, Receiver};

use super::selection::Order;

/// Records that are read at once.
const BATCH_RECORDS_MAX: usize = 500;
/// So long a commit stays back for others that were recorded before it and come later, where there is
/// no end to wait for.
pub(super) const HELD: Duration = Duration::from_secs(2);

/// One shard on its way.
pub(super) struct Lane {
    pub(super) shard: ShardId,
    /// Here it ends; a replay without an end has been here when it looked last.
    pub(super) end: Offset,
    /// Behind the last commit that was shown.
    pub(super) at: Option<Checkpoint>,
    pub(super) log_id: Option<LogId>,
    is_over: bool,
    reading: Option<Reading>,
}

struct Reading {
    batches: Receiver<Result<Batch, ReadError>>,
    ready: VecDeque<(Commit, Checkpoint)>,
    /// Up to here it has been read, shown or not.
    next_offset: Offset,
    /// When it was last found to have everything that the log had.
    level_at: Option<Timestamp>,
    _task: Task<()>,
}

struct Batch {
    commits: Vec<(Commit, Checkpoint)>,
    next_offset: Offset,
    log_id: Option<LogId>,
}

/// What a lane has to show next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Over,
    /// Not known yet; the log was level then.
    Unknown(Option<Timestamp>),
    /// A commit, and when it was recorded.
    Ready(Option<Timestamp>),
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Show(usize),
    /// Until lanes have read more: this one, or any.
    Wait(Option<usize>),
    /// Nobody's any more.
    Over,
}

impl Lane {
    pub(super) fn new(
        shard: ShardId,
        end: Offset,
        log_id: Option<LogId>,
        at: Option<Checkpoint>,
    ) -> Self {
        Self { shard, end, at, log_id, is_over: false, reading: None }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Nothing of it is shown any more.
    pub(super) fn close(&mut self) {
        self.is_over = true;
        self.reading = None;
    }

    /// Begins to read, if it has not.
    pub(super) fn open(&mut self, log: &Arc<dyn EventLog>, begin: Begin, records_max: usize) {
        if self.is_over || self.reading.is_some() {
            return;
        }
        let (sender, batches) = mpsc::channel(1);
        let (log, shard) = (Arc::clone(log), self.shard);
        let records_max = records_max.clamp(1, BATCH_RECORDS_MAX);
        let task = task::spawn("replay of a shard", async move {
            let mut reader = match Midway::open(&*log, shard, begin).await {
                Ok(reader) => reader,
                Err(error) => return drop(sender.send(Err(error)).await),
            };
            loop {
                let batch = batch(&mut reader, &*log, shard, records_max).await;
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    return;
                }
            }
        });
        let next_offset = self.at.map_or(0, |at| at.next_offset);
        let (ready, level_at) = (VecDeque::new(), None);
        self.reading = Some(Reading { batches, ready, next_offset, level_at, _task: task });
    }

    fn head(&self) -> Head {
        match (&self.reading, self.is_over) {
            (_, true) => Head::Over,
            (None, false) => Head::Unknown(None),
            (Some(reading), false) => match reading.ready.front() {
                Some((commit, _)) => Head::Ready(recorded_at(commit)),
                None => Head::Unknown(reading.level_at),
            },
        }
    }

    pub(super) fn front(&self) -> Option<&Commit> {
        self.reading.as_ref()?.ready.front().map(|(commit, _)| commit)
    }

    /// Its first commit has been shown.
    pub(super) fn advance(&mut self) {
        if let Some((_, after)) = self.reading.as_mut().and_then(|it| it.ready.pop_front()) {
            self.at = Some(after);
        }
    }

    /// Whether all that it had up to `end` has been taken.
    pub(super) fn is_at_end(&self) -> bool {
        let read = self.reading.as_ref();
        read.is_some_and(|it| it.ready.is_empty() && it.next_offset >= self.end)
    }

    /// Records up to its end that are not shown yet.
    pub(super) fn left(&self) -> Offset {
        let shown = self.at.map_or(0, |at| at.next_offset);
        let read = match &self.reading {
            Some(reading) if reading.ready.is_empty() => reading.next_offset.max(shown),
            _ => shown,
        };
        if self.is_over { 0 } else { (self.end - read).max(0) }
    }

    /// Looks where the log ends now.
    pub(super) async fn look(&mut self, log: &dyn EventLog) -> Result<(), ReadError> {
        let before = Clock::System.now();
        self.end = log.range(self.shard).await?.end;
        let end = self.end;
        if let Some(reading) = self.reading.as_mut().filter(|it| it.next_offset >= end) {
            reading.level_at = Some(before);
        }
        Ok(())
    }

    fn take(&mut self, batch: Batch) -> bool {
        self.log_id = batch.log_id.or(self.log_id);
        let Some(reading) = &mut self.reading else { return false };
        let is_news = reading.next_offset != batch.next_offset || !batch.commits.is_empty();
        reading.next_offset = batch.next_offset;
        reading.ready.extend(batch.commits);
        is_news
    }
}

async fn batch(
    reader: &mut Midway,
    log: &dyn EventLog,
    shard: ShardId,
    records_max: usize,
) -> Result<Batch, ReadError> {
    let commits = reader.next(log, shard, records_max).await?;
    let commits = commits.into_iter().map(|commit| {
        let after = reader.after(&commit);
        (commit, after)
    });
    let commits = commits.collect();
    Ok(Batch { commits, next_offset: reader.next_offset(), log_id: reader.log_id() })
}

/// Waits for the next batch of a lane, or of any; true if it had anything.
pub(super) async fn read(lanes: &mut [Lane], only: Option<usize>) -> Result<bool, ReadError> {
    let (lane, batch) = poll_fn(|cx| {
        for (index, lane) in lanes.iter_mut().enumerate() {
            let Some(reading) = lane.reading.as_mut().filter(|it| it.ready.is_empty()) else {
                continue;
            };
            if only.is_some_and(|only| only != index) {
                continue;
            }
            if let Poll::Ready(batch) = reading.batches.poll_recv(cx) {
                let ended = || Err(ReadError::Failed("the reading of a shard ended".into()));
                return Poll::Ready((index, batch.unwrap_or_else(ended)));
            }
        }
        Poll::Pending
    })
    .await;
    let batch = batch?;
    Ok(lanes.get_mut(lane).is_some_and(|lane| lane.take(batch)))
}

/// Whose turn it is, where `last` has been shown last.
pub(super) fn turn(lanes: &[Lane], order: Order, follows: bool, last: usize) -> Turn {
    let heads: Vec<_> = lanes.iter().map(Lane::head).collect();
    decide(&heads, order, follows, last)
}

fn decide(heads: &[Head], order: Order, follows: bool, last: usize) -> Turn {
    let is_ready = |head: &Head| matches!(head, Head::Ready(_));
    if heads.iter().all(|head| *head == Head::Over) {
        return Turn::Over;
    }
    match order {
        Order::Shard if follows => {
            let indexes = (last + 1..heads.len()).chain(0..=last);
            let mut ready = indexes.filter(|index| heads.get(*index).is_some_and(is_ready));
            ready.next().map_or(Turn::Wait(None), Turn::Show)
        }
        Order::Shard => match heads.iter().position(|head| *head != Head::Over) {
            Some(index) if heads.get(index).is_some_and(is_ready) => Turn::Show(index),
            first => Turn::Wait(first),
        },
        Order::Time => {
            let ready = heads.iter().enumerate().filter_map(|(index, head)| match head {
                Head::Ready(at) => Some((*at, index)),
                Head::Over | Head::Unknown(_) => None,
            });
            let Some((at, index)) = ready.min() else { return Turn::Wait(None) };
            let may_pass = |level_at: Option<Timestamp>| {
                follows && level_at.is_some_and(|level| at.is_none_or(|at| at < level.minus(HELD)))
            };
            let held = heads.iter().position(|head| match head {
                Head::Unknown(level_at) => !may_pass(*level_at),
                Head::Over | Head::Ready(_) => false,
            });
            match held {
                // Where there is an end, it will come or be over.
                Some(held) => Turn::Wait(Some(held).filter(|_| !follows)),
                None => Turn::Show(index),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Head::*, *};

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_micros(second * 1_000_000))
    }

    #[test]
    fn by_shard_one_comes_after_the_other() {
        let turn = |heads: &[Head]| decide(heads, Order::Shard, false, 0);
        assert_eq!(turn(&[Ready(at(5)), Ready(at(1))]), Turn::Show(0));
        assert_eq!(turn(&[Unknown(None), Ready(at(1))]), Turn::Wait(Some(0)));
        assert_eq!(turn(&[Over, Ready(at(1))]), Turn::Show(1));
        assert_eq!(turn(&[Over, Over]), Turn::Over);
    }

    #[test]
    fn without_an_end_shards_take_turns() {
        let turn = |heads: &[Head], last| decide(heads, Order::Shard, true, last);
        assert_eq!(turn(&[Ready(None), Ready(None)], 0), Turn::Show(1));
        assert_eq!(turn(&[Ready(None), Ready(None)], 1), Turn::Show(0));
        assert_eq!(turn(&[Ready(None), Unknown(None)], 0), Turn::Show(0));
        assert_eq!(turn(&[Over, Unknown(None)], 0), Turn::Wait(None));
    }

    #[test]
    fn by_time_all_lanes_are_waited_for() {
        let turn = |heads: &[Head]| decide(heads, Order::Time, false, 0);
        assert_eq!(turn(&[Ready(at(5)), Ready(at(1))]), Turn::Show(1));
        assert_eq!(turn(&[Ready(at(1)), Ready(at(1))]), Turn::Show(0));
        assert_eq!(turn(&[Ready(at(5)), Unknown(at(99))]), Turn::Wait(Some(1)));
        assert_eq!(turn(&[Ready(at(5)), Over]), Turn::Show(0));
    }

    #[test]
    fn without_an_end_a_quiet_lane_that_is_level_holds_others_back_for_a_time() {
        let turn = |heads: &[Head]| decide(heads, Order::Time, true, 0);
        assert_eq!(turn(&[Ready(at(5)), Unknown(None)]), Turn::Wait(None));
        assert_eq!(turn(&[Ready(at(5)), Unknown(at(7))]), Turn::Wait(None));
        assert_eq!(turn(&[Ready(at(5)), Unknown(at(8))]), Turn::Show(0));
        assert_eq!(turn(&[Ready(at(5)), Ready(at(4)), Unknown(at(8))]), Turn::Show(1));
    }
}
