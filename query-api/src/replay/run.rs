//! One replay on its way: lines of events, shard after shard, in chunks that end with a cursor.
//!
//! A chunk is made when the client has taken the one before, so a slow client holds the reader back. It
//! holds whole commits, and its cursor is behind the last of them: what follows a cursor begins with the
//! commit after it.

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
        Commit, CommitBody, EventLog, EventRecord, Offset, ReadError,
        join::{Begin, Midway, recorded_at},
    },
    shutdown::Shutdown,
    telemetry::emit,
};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{
    cursor::{Cursors, Place},
    mask::Pseudonyms,
    places::{Slot, unreachable},
    selection::{Bound, Selection},
};
use crate::metrics::ReplayShowed;

/// Records that are read at once. Beside what the reader fetches ahead, a replay holds no more.
const BATCH_RECORDS_MAX: usize = 500;
/// A chunk ends with the first batch that makes it so long.
const CHUNK_BYTES: usize = 256 << 10;
/// However few events pass the filters, a client hears of where the replay is this often.
const CHUNK_WAIT_MAX: Duration = Duration::from_secs(1);
/// For so long a replay waits for records that are there but do not come.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A replay that has not ended.
pub(crate) struct Run {
    log: Arc<dyn EventLog>,
    selection: Selection,
    place: Place,
    /// Of the shard that is read.
    reader: Option<Midway>,
    cursors: Cursors,
    names: Pseudonyms,
    pace: Option<Pace>,
    /// For how long records that are there have not come.
    silent: Duration,
    ended: bool,
    stop: Shutdown,
    _slot: Slot,
}

/// Why a replay ends before it is done.
enum Broken {
    Read(ReadError),
    Silent,
    /// A record that counts, and yet cannot be shown.
    Unreadable {
        shard: u32,
        offset: Offset,
    },
}

/// Holds a replay to so many events a second.
struct Pace {
    rate: u32,
    next: Instant,
}

impl Run {
    pub(super) fn new(
        log: Arc<dyn EventLog>,
        selection: Selection,
        place: Place,
        cursors: Cursors,
        names: Pseudonyms,
        slot: Slot,
        stop: Shutdown,
    ) -> Self {
        let pace = selection.rate.map(|rate| Pace { rate, next: Instant::now() });
        let (reader, silent, ended) = (None, Duration::ZERO, false);
        Self {
            log,
            selection,
            place,
            reader,
            cursors,
            names,
            pace,
            silent,
            ended,
            stop,
            _slot: slot,
        }
    }

    /// The body.
    pub(crate) fn chunks(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut run| async move { Some((Ok(run.chunk().await?), run)) })
    }

    /// The next chunk; `None` after the last.
    async fn chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if let Some(pace) = &self.pace {
            tokio::select! {
                () = sleep_until(pace.next) => {}
                () = self.stop.requested() => {}
            }
        }
        let (mut lines, mut count) = (Vec::new(), 0);
        let broken = self.fill(&mut lines, &mut count).await.err();
        if let Some(pace) = &mut self.pace {
            pace.took(count);
        }
        emit(ReplayShowed { events: u64::from(count) });
        let left = self.left();
        let cursor = json!({ "cursor": self.cursors.write(&self.place).as_str(), "left": left });
        lines.extend_from_slice(cursor.to_string().as_bytes());
        lines.push(b'\n');
        if let Some(broken) = broken {
            self.ended = true;
            lines.extend(json!({ "problem": Problem::from(broken).to_json() }).to_string().bytes());
            lines.push(b'\n');
        }
        self.ended |= left == 0 || self.stop.is_requested();
        Some(lines.into())
    }

    /// Reads until a chunk is full, time is up, or all is done.
    async fn fill(&mut self, lines: &mut Vec<u8>, count: &mut u32) -> Result<(), Broken> {
        let began = Instant::now();
        while self.find_shard() && lines.len() < CHUNK_BYTES && !self.stop.is_requested() {
            if self.pace.as_ref().is_some_and(|pace| *count >= pace.rate) {
                break;
            }
            let (shard, end) = (self.shard(), self.end());
            let mut reader = match self.reader.take() {
                Some(reader) => reader,
                None => self.open(shard).await?,
            };
            let (before, asked) = (reader.next_offset(), Instant::now());
            let commits =
                reader.next(&*self.log, shard, self.batch()).await.map_err(Broken::Read)?;
            let is_silent = reader.next_offset() == before;
            self.silent = if is_silent { self.silent + asked.elapsed() } else { Duration::ZERO };
            let mut is_over = reader.next_offset() >= end;
            for commit in &commits {
                if commit.next_offset > end || self.is_too_late(commit) {
                    is_over = true;
                    break;
                }
                let (shown, before) = (lines.len(), *count);
                if let Err(broken) = self.show(commit, lines, count) {
                    // The cursor is before this commit, so none of it may be shown.
                    lines.truncate(shown);
                    *count = before;
                    return Err(broken);
                }
                self.place.at = Some(reader.after(commit));
            }
            if is_over {
                self.place.shard += 1;
                self.place.at = None;
            } else {
                self.reader = Some(reader);
            }
            if self.silent >= SILENCE_MAX {
                return Err(Broken::Silent);
            }
            if began.elapsed() >= CHUNK_WAIT_MAX {
                break;
            }
        }
        Ok(())
    }

    async fn open(&mut self, shard: ShardId) -> Result<Midway, Broken> {
        let begin = match (self.place.at, &self.selection.from, self.place.from) {
            (Some(checkpoint), ..) => Begin::At(checkpoint),
            (None, Some(Bound::Position(_)), _) => {
                let from = self.selection.from.as_ref().and_then(|from| from.offset(shard));
                from.map_or(Begin::Start, Begin::After)
            }
            (None, _, Some(from)) => Begin::Time(Timestamp::from_micros(from)),
            (None, _, None) => Begin::Start,
        };
        let reader = Midway::open(&*self.log, shard, begin).await.map_err(Broken::Read)?;
        if let Some(log_id) = reader.log_id() {
            self.place.log = Some((shard.index(), log_id));
        }
        Ok(reader)
    }

    fn show(&self, commit: &Commit, lines: &mut Vec<u8>, count: &mut u32) -> Result<(), Broken> {
        let CommitBody::Events(events) = &commit.body else { return Ok(()) };
        for event in events.iter().filter(|event| self.selection.wants(event)) {
            let offset = commit.next_offset;
            let unreadable = || Broken::Unreadable { shard: self.place.shard, offset };
            let shown = self.shown(event).ok_or_else(unreadable)?;
            if !self.selection.wants_data(&shown.value) {
                continue;
            }
            shown.write_envelope(lines).map_err(|_invalid| unreadable())?;
            lines.push(b'\n');
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
        let value = self.names.mask(&event_type, &value)?.into();
        Some(EventRecord { event_type, value, request_hash: None, ..event.clone() })
    }

    /// The first commit of then or later ends a replay, also where clocks have run backwards behind it.
    fn is_too_late(&self, commit: &Commit) -> bool {
        let to = self.place.to.map(Timestamp::from_micros);
        to.is_some_and(|to| recorded_at(commit).is_some_and(|at| at >= to))
    }

    /// Goes to the next shard that has something to show; false if there is none.
    fn find_shard(&mut self) -> bool {
        let is_done = |run: &Self| {
            let shard = run.shard();
            run.end() == 0 || run.only().is_some_and(|only| only != shard)
        };
        while self.place.shard < self.log.shard_count() && is_done(self) {
            self.place.shard += 1;
        }
        self.place.shard < self.log.shard_count()
    }

    /// Records that are not read yet.
    fn left(&mut self) -> Offset {
        self.find_shard();
        let at = self.place.at.map_or(0, |at| at.next_offset);
        let read = self.reader.as_ref().map_or(at, Midway::next_offset);
        let is_left = |shard: &u32| self.only().is_none_or(|only| only.index() == *shard);
        let shards = (0..).zip(&self.place.ends).filter(|(shard, _)| is_left(shard));
        let ends = shards.filter(|(shard, _)| *shard >= self.place.shard);
        let sum: Offset = ends.map(|(_, end)| *end).sum();
        let is_done = self.place.shard >= self.log.shard_count();
        if is_done { 0 } else { (sum - read).max(1) }
    }

    /// The one shard that has what is asked for.
    fn only(&self) -> Option<ShardId> {
        self.selection.stream().map(|stream| shard_of(stream, self.log.shard_count()))
    }

    fn shard(&self) -> ShardId {
        ShardId::new(self.place.shard)
    }

    fn end(&self) -> Offset {
        let shard = usize::try_from(self.place.shard).unwrap_or(usize::MAX);
        self.place.ends.get(shard).copied().unwrap_or_default()
    }

    fn batch(&self) -> usize {
        let rate = self.pace.as_ref().and_then(|pace| usize::try_from(pace.rate).ok());
        rate.map_or(BATCH_RECORDS_MAX, |rate| rate.clamp(1, BATCH_RECORDS_MAX))
    }
}

impl Pace {
    fn took(&mut self, count: u32) {
        let due = Duration::from_secs(1) * count / self.rate.max(1);
        // Time that went by without events is not made up for.
        self.next = self.next.max(Instant::now().checked_sub(due).unwrap_or(self.next)) + due;
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
