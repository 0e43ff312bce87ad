//! A reader that begins in the middle of a shard: from a checkpoint, or from a place of which nothing
//! is known but its offset.
//!
//! Without a checkpoint the machine does not know the claim that holds there, nor the number of the last
//! commit. [`Joiner`] learns both from the records themselves, which name their claim and their number,
//! and corrects itself: no writer numbers a commit anew that counted before its claim, so a record of a
//! newer claim, or one that begins an epoch with a number that seemed taken, tells that what it went by
//! was left over from a writer that had been deposed.
//!
//! That is right as long as whoever uses it begins far enough ahead of what it shows: by
//! [`AHEAD`], which is ten times as long as a producer goes on with a record, and by [`RECORDS_AHEAD`], for
//! a writer that was deposed while nothing was to be written learns of it by what it appends next, however
//! much later. From the first commit that is shown on nothing is corrected any more; where it would have to be,
//! what was shown never counted, and [`Midway`] fails. From the beginning of the log, or from a
//! checkpoint, nothing is guessed.

use std::time::Duration;

use domain::{shard::ShardId, timestamp::Timestamp};

use super::{
    Checkpoint, Commit, CommitBody, EventLog, Halt, LogId, LogReader, Nonce, Offset, Prefetch,
    ReadError, Reader, Stepped, follow,
    record::{Body, LogRecord, Place},
};

#[cfg(test)]
mod tests;

/// By so much a reader begins before the first record that it shows. A record of a writer that has been
/// deposed lands within its producer's `message.timeout.ms`, a minute.
pub const AHEAD: Duration = Duration::from_mins(10);
/// Likewise by so many records: several times what a writer appends before it hears of the first of them.
const RECORDS_AHEAD: Offset = 20_000;
/// How long one read stays at the end of what there is.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the first record of the log.
    Start,
    /// Where another reader was.
    At(Checkpoint),
    /// With the first commit that was recorded then or later.
    Time(Timestamp),
    /// With the first commit that ends beyond this offset.
    After(Offset),
}

/// The machine of a reader that begins anywhere. Pure.
#[derive(Debug)]
pub struct Joiner {
    machine: Reader,
    knows: Knows,
    corrections: u32,
}

/// How the machine came to its claim and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// By reading everything, or from a checkpoint: nothing can correct it.
    All,
    Nothing,
    /// The claim was read, the number was not.
    Claim,
    /// From a record that said so. `founded`: the claim was read, too, so that the number is the one that
    /// its writer began with. `begun`: a claim was read since the last commit.
    Told {
        founded: bool,
        begun: bool,
    },
    /// Enough to show what follows.
    Enough {
        begun: bool,
    },
}

impl Joiner {
    /// From a checkpoint on.
    #[must_use]
    pub fn at(checkpoint: Checkpoint) -> Self {
        Self { machine: Reader::resume(checkpoint), knows: Knows::All, corrections: 0 }
    }

    /// From any offset on.
    #[must_use]
    pub fn blind(from: Offset) -> Self {
        let checkpoint = Checkpoint { next_offset: from, ..Checkpoint::START };
        Self { machine: Reader::resume(checkpoint), knows: Knows::Nothing, corrections: 0 }
    }

    /// # Errors
    /// The record is not the next one.
    pub fn step(&mut self, record: LogRecord) -> Result<Option<Commit>, Halt> {
        let offset = record.offset;
        match &record.body {
            Body::Event(event) => self.hear(offset, event.place),
            Body::Barrier(barrier) => self.hear(offset, barrier.place),
            Body::Claim(_) => {
                self.knows = match self.knows {
                    Knows::All => Knows::All,
                    Knows::Enough { .. } => Knows::Enough { begun: true },
                    Knows::Told { founded: true, .. } => Knows::Told { founded: true, begun: true },
                    Knows::Nothing | Knows::Claim | Knows::Told { .. } => Knows::Claim,
                };
            }
            Body::Foreign(_) => {}
        }
        match self.machine.step(record)? {
            Stepped::Commit(commit) => {
                if let Knows::Told { begun, .. } | Knows::Enough { begun } = &mut self.knows {
                    *begun = false;
                }
                Ok(Some(commit))
            }
            Stepped::Claimed { .. } | Stepped::Partial | Stepped::Ignored(_) => Ok(None),
        }
    }

    /// From here on what it knows has to do.
    fn settle(&mut self) {
        if self.knows != Knows::All {
            self.knows = Knows::Enough { begun: false };
        }
    }

    /// How often it has found that it went by what did not count.
    #[must_use]
    pub fn corrections(&self) -> u32 {
        self.corrections
    }

    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.machine.next_offset()
    }

    /// The claim that it goes by, where it was not read.
    fn hearsay(&self) -> Option<(Offset, Nonce)> {
        let is_hearsay = matches!(self.knows, Knows::Told { founded: false, .. });
        Some((self.machine.epoch(), self.machine.claim().filter(|_| is_hearsay)?))
    }

    /// What a record tells of the claim and the number before it.
    fn hear(&mut self, offset: Offset, place: Place) {
        let Place { epoch, claim, seq, index, .. } = place;
        let (known, last_seq) = (self.machine.epoch(), self.machine.last_seq());
        let is_current = epoch == known && Some(claim) == self.machine.claim();
        let (is_news, founded) = match self.knows {
            Knows::All => (false, true),
            Knows::Enough { begun } => {
                self.corrections += u32::from(begun && is_current && seq <= last_seq);
                (false, true)
            }
            Knows::Nothing => (epoch < offset, false),
            // In the middle of a commit its beginning is lost, and so the commit.
            Knows::Claim => (is_current && index == 0, true),
            // Behind a claim that was read, who names a newer one that was not has made it up.
            Knows::Told { founded: false, .. } => (known < epoch && epoch < offset, false),
            Knows::Told { begun, founded: true } => (begun && is_current && seq <= last_seq, true),
        };
        if !is_news {
            return;
        }
        let before = seq.saturating_sub(1);
        let is_correction = match self.knows {
            Knows::All | Knows::Enough { .. } | Knows::Nothing => false,
            Knows::Claim => last_seq != 0 && last_seq != before,
            Knows::Told { .. } => true,
        };
        self.corrections += u32::from(is_correction);
        // A commit of which only the rest was read tells nothing yet: the next one will.
        let (epoch, claim, last_seq, knows) = if index == 0 {
            (epoch, Some(claim), before, Knows::Told { founded, begun: false })
        } else {
            (-1, None, 0, Knows::Nothing)
        };
        let next_offset = offset;
        let checkpoint = Checkpoint { log_id: None, next_offset, epoch, claim, last_seq };
        self.machine = Reader::resume(checkpoint);
        self.knows = knows;
    }
}

/// A reader and the machine together.
pub struct Midway {
    source: Box<dyn LogReader>,
    joiner: Joiner,
    begin: Begin,
    log_id: Option<LogId>,
    /// What it had been corrected by when it showed its first commit; none before.
    shown_after: Option<u32>,
}

impl Midway {
    /// # Errors
    /// [`ReadError::Recreated`] for a checkpoint of another log.
    pub async fn open(log: &dyn EventLog, shard: ShardId, begin: Begin) -> Result<Self, ReadError> {
        let log_id = follow::log_id(log, shard).await?;
        let first = log.range(shard).await?.start;
        let start = Checkpoint { next_offset: first, ..Checkpoint::START };
        let joiner = match begin {
            Begin::Start => Joiner::at(start),
            Begin::At(checkpoint) => match checkpoint.log_id {
                Some(expected) if log_id != Some(expected) => {
                    return Err(ReadError::Recreated { expected, found: log_id });
                }
                _ => Joiner::at(checkpoint),
            },
            Begin::Time(time) => {
                let until = log.offset_at(shard, time).await?;
                ahead(log, shard, first, until, time).await?
            }
            Begin::After(offset) => match time_of(log, shard, offset - 1).await? {
                Some(time) if offset > first => ahead(log, shard, first, offset, time).await?,
                _ => Joiner::at(start),
            },
        };
        let source = log.open_reader(shard, joiner.next_offset(), Prefetch::Ahead).await?;
        let mut midway = Self { source, joiner, begin, log_id, shown_after: None };
        if matches!(begin, Begin::Start | Begin::At(_)) {
            midway.shown_after = Some(0);
        }
        Ok(midway)
    }

    #[must_use]
    pub fn log_id(&self) -> Option<LogId> {
        self.log_id
    }

    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.joiner.next_offset()
    }

    /// Where another reader goes on behind a commit.
    #[must_use]
    pub fn after(&self, commit: &Commit) -> Checkpoint {
        let Commit { epoch, seq, next_offset, .. } = *commit;
        let claim = place_of(commit).map(|place| place.claim);
        Checkpoint { log_id: self.log_id, next_offset, epoch, claim, last_seq: seq }
    }

    /// Reads up to `max` records and returns the commits that they complete, from the first on that is
    /// asked for: none if there are none, or if no record came for a second.
    ///
    /// Whoever drops the future opens another reader: what it had read is gone.
    ///
    /// # Errors
    /// As a follower's; and if a commit cannot be told from what does not count.
    pub async fn next(
        &mut self,
        log: &dyn EventLog,
        shard: ShardId,
        max: usize,
    ) -> Result<Vec<Commit>, ReadError> {
        let records = self.source.read(max, IDLE_MAX).await?;
        let mut commits = Vec::new();
        let mut checks = None;
        for record in records {
            let commit = self.joiner.step(record)?;
            if self.shown_after.is_some_and(|before| before != self.joiner.corrections()) {
                return Err(ReadError::Failed("what counts began too late to tell it".into()));
            }
            let Some(commit) = commit else { continue };
            if self.shown_after.is_none() && is_asked_for(self.begin, &commit) {
                self.shown_after = Some(self.joiner.corrections());
                checks = self.joiner.hearsay();
                self.joiner.settle();
            }
            if self.shown_after.is_some() {
                commits.push(commit);
            }
        }
        if let Some((epoch, claim)) = checks {
            verify(log, shard, epoch, claim).await?;
        }
        Ok(commits)
    }
}

/// Whoever wrote the record that told of a claim may have made it up.
async fn verify(
    log: &dyn EventLog,
    shard: ShardId,
    epoch: Offset,
    claim: Nonce,
) -> Result<(), ReadError> {
    match one(log, shard, epoch).await? {
        Some(Body::Claim(found)) if found.nonce == claim => Ok(()),
        _ => Err(ReadError::Failed("a record names a claim that is not there".into())),
    }
}

/// A machine that begins so far before an offset and its time that it knows what counts when that has come.
async fn ahead(
    log: &dyn EventLog,
    shard: ShardId,
    first: Offset,
    until: Offset,
    time: Timestamp,
) -> Result<Joiner, ReadError> {
    let from = log.offset_at(shard, time.minus(AHEAD)).await?.min(until - RECORDS_AHEAD);
    let start = Checkpoint { next_offset: first, ..Checkpoint::START };
    Ok(if from <= first { Joiner::at(start) } else { Joiner::blind(from) })
}

async fn time_of(
    log: &dyn EventLog,
    shard: ShardId,
    offset: Offset,
) -> Result<Option<Timestamp>, ReadError> {
    Ok(one(log, shard, offset).await?.and_then(|body| match body {
        Body::Claim(claim) => Some(claim.info.started_at),
        Body::Event(event) => Some(event.recorded_at),
        Body::Barrier(barrier) => Some(barrier.recorded_at),
        Body::Foreign(_) => None,
    }))
}

/// The record at an offset, if there is one.
async fn one(
    log: &dyn EventLog,
    shard: ShardId,
    offset: Offset,
) -> Result<Option<Body>, ReadError> {
    if !log.range(shard).await?.contains(&offset) {
        return Ok(None);
    }
    let mut reader = log.open_reader(shard, offset, Prefetch::Level).await?;
    for _ in 0..5 {
        if let Some(record) = reader.read(1, IDLE_MAX).await?.pop() {
            return Ok(Some(record.body));
        }
    }
    Err(ReadError::Unavailable("a record did not come in time".into()))
}

fn is_asked_for(begin: Begin, commit: &Commit) -> bool {
    match begin {
        Begin::Start | Begin::At(_) => true,
        Begin::Time(time) => recorded_at(commit).is_none_or(|at| at >= time),
        Begin::After(offset) => commit.next_offset > offset,
    }
}

/// When a commit was recorded, which all of its records share.
#[must_use]
pub fn recorded_at(commit: &Commit) -> Option<Timestamp> {
    match &commit.body {
        CommitBody::Events(events) => events.first().map(|event| event.recorded_at),
        CommitBody::Barrier(barrier) => Some(barrier.recorded_at),
    }
}

fn place_of(commit: &Commit) -> Option<Place> {
    match &commit.body {
        CommitBody::Events(events) => events.first().map(|event| event.place),
        CommitBody::Barrier(barrier) => Some(barrier.place),
    }
}
