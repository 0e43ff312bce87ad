//! One replay on its way: lines of events in chunks that end with a cursor.
//!
//! A chunk is made when the client has taken the one before, so a slow client holds the readers back. It
//! holds whole commits, and its cursor is behind the last of them in each shard: what follows a cursor
//! begins with the commits after it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{
    shard::{ShardId, shard_of},
    timestamp::Timestamp,
};
use futures_util::{Stream, stream};
use infra::{
    codec,
    http::problem::Problem,
    log::{
        Commit, CommitBody, EventLog, EventRecord, LogId, Offset, ReadError,
        join::{Begin, recorded_at},
    },
    shutdown::Shutdown,
    telemetry::emit,
};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{
    cursor::Cursors,
    lanes::{self, Lane, Turn},
    mask::Pseudonyms,
    pace::{Bandwidth, Pace},
    places::{Slot, unreachable},
    selection::{Bound, Order, Selection},
};
use crate::metrics::ReplayShowed;

/// A chunk ends with the first commit that makes it so long.
const CHUNK_BYTES: usize = 256 << 10;
/// However few events pass the filters, a client hears of where the replay is this often.
const CHUNK_WAIT_MAX: Duration = Duration::from_secs(1);
/// So long a replay without an end waits for more before it tells what it has.
const LINGER: Duration = Duration::from_millis(50);
/// So often one by time looks whether lanes that hold others back are level with the log.
const LOOK_WAIT: Duration = Duration::from_millis(250);
/// After so long a replay ends behind a cursor: whoever goes on shows once more that he may, and is recorded anew.
const RUN_MAX: Duration = Duration::from_mins(10);
/// For so long a replay waits for records that are there but do not come.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A replay that has not ended.
pub(crate) struct Run {
    pub(super) log: Arc<dyn EventLog>,
    /// Of the first shard, by which clients tell one log from another.
    pub(super) log_id: Option<LogId>,
    pub(super) selection: Selection,
    /// Between these times; what was relative to now has been when the replay began.
    pub(super) times: (Option<Timestamp>, Option<Timestamp>),
    pub(super) lanes: Vec<Lane>,
    /// The lane that was shown last.
    pub(super) last: usize,
    pub(super) cursors: Cursors,
    /// None: everything is shown as it is.
    pub(super) names: Option<Pseudonyms>,
    pub(super) pace: Option<Pace>,
    /// Bytes of all replays.
    pub(super) bandwidth: Bandwidth,
    /// For how long nothing has come that was waited for.
    pub(super) silent: Duration,
    pub(super) began: Instant,
    /// Whether what comes before all events has been written.
    pub(super) is_begun: bool,
    pub(super) ended: bool,
    pub(super) stop: Shutdown,
    pub(super) _slot: Slot,
}

/// Why a replay ends before it is done.
enum Broken {
    Read(ReadError),
    Silent,
    /// A record that counts, and yet cannot be shown.
    Unreadable {
        shard: ShardId,
        offset: Offset,
    },
}

impl Run {
    /// The body.
    pub(crate) fn chunks(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut run| async move { Some((Ok(run.chunk().await?), run)) })
    }

    /// The next chunk; `None` after the last.
    async fn chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let due = self.bandwidth.next().max(self.pace.map_or_else(Instant::now, |it| it.next()));
        tokio::select! {
            () = sleep_until(due) => {}
            () = self.stop.requested() => {}
        }
        let (mut lines, mut count) = (Vec::new(), 0);
        if !self.is_begun {
            lines = self.selection.format.head();
            self.is_begun = true;
        }
        let broken = self.fill(&mut lines, &mut count).await.err();
        if let Some(pace) = &mut self.pace {
            pace.took(count.into());
        }
        emit(ReplayShowed { events: count.into() });
        let left: Offset = self.lanes.iter().map(Lane::left).sum();
        let is_over = self.lanes.iter().all(Lane::is_over);
        // Whoever follows asks where the log ends; one that has broken may not have.
        let is_told = is_over || (self.selection.follow && broken.is_none());
        let left = if is_told { left } else { left.max(1) };
        let cursor = self.cursors.write(self.times, &self.lanes);
        let format = &self.selection.format;
        let sign = json!({
            "cursor": cursor.as_str(), "left": left, "shards": self.log.shard_count(),
            "log": self.log_id,
        });
        format.sign(&sign, &mut lines);
        if let Some(broken) = broken {
            self.ended = true;
            format.sign(&json!({ "problem": Problem::from(broken).to_json() }), &mut lines);
        }
        self.ended |= is_over || self.stop.is_requested() || self.began.elapsed() >= RUN_MAX;
        self.bandwidth.took(lines.len());
        Some(lines.into())
    }

    /// Reads until a chunk is full, time is up, or all is done.
    async fn fill(&mut self, lines: &mut Vec<u8>, count: &mut u32) -> Result<(), Broken> {
        let (began, head) = (Instant::now(), lines.len());
        let Selection { order, follow, .. } = self.selection;
        while lines.len() < CHUNK_BYTES && !self.stop.is_requested() {
            if self.pace.is_some_and(|pace| *count >= pace.rate) {
                break;
            }
            self.close_and_open();
            match lanes::turn(&self.lanes, order, follow, self.last) {
                Turn::Over => break,
                Turn::Show(lane) => self.show_next(lane, lines, count)?,
                Turn::Wait(lane) => {
                    let until = match follow && lines.len() > head {
                        true => Instant::now() + LINGER,
                        false => began + CHUNK_WAIT_MAX,
                    };
                    if !self.read(lane, until).await? {
                        break;
                    }
                }
            }
            if began.elapsed() >= CHUNK_WAIT_MAX {
                break;
            }
        }
        if follow {
            self.look().await?;
        }
        if !self.lanes.iter().any(|lane| lane.front().is_none() && lane.left() > 0) {
            self.silent = Duration::ZERO;
        }
        if self.silent >= SILENCE_MAX { Err(Broken::Silent) } else { Ok(()) }
    }

    /// Waits for what comes next in a lane, or in any; false if it has not come by then.
    async fn read(&mut self, lane: Option<usize>, until: Instant) -> Result<bool, Broken> {
        let is_held_back = self.lanes.iter().any(|lane| lane.front().is_some());
        let look = is_held_back && self.selection.follow;
        let asked = Instant::now();
        let until = if look { until.min(asked + LOOK_WAIT) } else { until };
        let has_news = tokio::select! {
            has_news = lanes::read(&mut self.lanes, lane) => Some(has_news.map_err(Broken::Read)?),
            () = sleep_until(until) => None,
            () = self.stop.requested() => None,
        };
        let has_come = has_news == Some(true);
        self.silent = if has_come { Duration::ZERO } else { self.silent + asked.elapsed() };
        if look {
            self.look().await?;
        }
        Ok(has_news.is_some() || look)
    }

    /// Looks where the log ends now. A lane that has more to show may be past the end that it has seen.
    async fn look(&mut self) -> Result<(), Broken> {
        let is_stale = |lane: &&mut Lane| lane.front().is_none() || lane.left() == 0;
        for lane in self.lanes.iter_mut().filter(|lane| !lane.is_over()).filter(is_stale) {
            lane.look(&*self.log).await.map_err(Broken::Read)?;
        }
        Ok(())
    }

    /// Closes the lanes that are done, and opens those that may have a turn.
    fn close_and_open(&mut self) {
        let Selection { order, follow, .. } = self.selection;
        let (only, rate) = (self.only(), self.pace.map(|pace| usize::try_from(pace.rate)));
        let records_max = rate.and_then(Result::ok).unwrap_or(usize::MAX);
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(index).filter(|lane| !lane.is_over()) else {
                continue;
            };
            let is_at_end = !follow && (lane.end == 0 || lane.is_at_end());
            if is_at_end || only.is_some_and(|only| only != lane.shard) {
                lane.close();
                continue;
            }
            let begin = begin(&self.selection, self.times.0, lane);
            lane.open(&self.log, begin, records_max);
            if order == Order::Shard && !follow {
                break;
            }
        }
    }

    fn show_next(
        &mut self,
        lane: usize,
        lines: &mut Vec<u8>,
        count: &mut u32,
    ) -> Result<(), Broken> {
        self.last = lane;
        let Some(of) = self.lanes.get(lane) else { return Ok(()) };
        let (shard, end) = (of.shard, of.end);
        let Some(commit) = of.front() else { return Ok(()) };
        let is_behind = !self.selection.follow && commit.next_offset > end;
        if is_behind || self.is_too_late(commit) {
            self.lanes.get_mut(lane).into_iter().for_each(Lane::close);
            return Ok(());
        }
        let (shown, before) = (lines.len(), *count);
        if let Err(broken) = self.show(commit, shard, lines, count) {
            // The cursor is before this commit, so none of it may be shown.
            lines.truncate(shown);
            *count = before;
            return Err(broken);
        }
        self.lanes.get_mut(lane).into_iter().for_each(Lane::advance);
        Ok(())
    }

    fn show(
        &self,
        commit: &Commit,
        shard: ShardId,
        lines: &mut Vec<u8>,
        count: &mut u32,
    ) -> Result<(), Broken> {
        let CommitBody::Events(events) = &commit.body else { return Ok(()) };
        for event in events.iter().filter(|event| self.selection.wants(event)) {
            let offset = commit.next_offset;
            let unreadable = || Broken::Unreadable { shard, offset };
            let shown = self.shown(event).ok_or_else(unreadable)?;
            if !self.selection.wants_data(&shown.value) {
                continue;
            }
            let written = self.selection.format.write(&shown, shard, lines);
            written.map_err(|_invalid| unreadable())?;
            *count += 1;
        }
        Ok(())
    }

    /// The event as an analyst sees it. The hash of the request would let somebody try out what was in it.
    fn shown(&self, event: &EventRecord) -> Option<EventRecord> {
        let (event_type, value) = match self.selection.raw {
            true => (Arc::clone(&event.event_type), event.value.clone()),
            false => codec::newest(&event.event_type, &event.value),
        };
        let value = match &self.names {
            Some(names) => names.mask(&event_type, &value)?.into(),
            None => value,
        };
        Some(EventRecord { event_type, value, request_hash: None, ..event.clone() })
    }

    /// The first commit of then or later ends a replay, also where clocks have run backwards behind it.
    fn is_too_late(&self, commit: &Commit) -> bool {
        let (_, to) = self.times;
        to.is_some_and(|to| recorded_at(commit).is_some_and(|at| at >= to))
    }

    /// The one shard that has what is asked for.
    fn only(&self) -> Option<ShardId> {
        self.selection.stream().map(|stream| shard_of(stream, self.log.shard_count()))
    }
}

/// Where the reading of a lane begins.
fn begin(selection: &Selection, from: Option<Timestamp>, lane: &Lane) -> Begin {
    match (lane.at, &selection.from, from) {
        (Some(checkpoint), ..) => Begin::At(checkpoint),
        (None, Some(bound @ Bound::Position(_)), _) => {
            bound.offset(lane.shard).map_or(Begin::Start, Begin::After)
        }
        (None, _, Some(from)) => Begin::Time(from),
        (None, _, None) => Begin::Start,
    }
}

impl From<Broken> for Problem {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Read(error @ ReadError::Unavailable(_)) => unreachable(error),
            Broken::Read(error @ ReadError::Recreated { .. }) => {
                let detail = "the cursor is of another log than the one that is here";
                Self::bad_request("cursor_of_another_log", detail).caused_by(error)
            }
            Broken::Read(error) => {
                tracing::error!(%error, "a replay cannot go on");
                Self::internal(error)
            }
            Broken::Silent => {
                let detail = "the records that come next do not come; go on from the cursor later";
                Self::unavailable("log_unavailable", detail)
            }
            Broken::Unreadable { shard, offset } => {
                let what = format!("the commit of shard {shard} before offset {offset} is no JSON");
                tracing::error!(what, "a replay cannot go on");
                Self::internal(what)
            }
        }
    }
}

#[cfg(test)]
mod tests;
