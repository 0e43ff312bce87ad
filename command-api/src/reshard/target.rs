//! One new shard. What an earlier run has copied is compared with what is due, commit by commit; where that
//! ends, the shard is claimed and the rest is appended.
//!
//! **Invariant:** nothing is appended before all that stands in the shard has been seen to be of this copy, up
//! to the own claim: what comes of an earlier run after that does not count.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    clock::Clock,
    log::{
        Checkpoint, ClaimInfo, ClaimRecord, Commit, CommitBody, EventLog, Ignored, LogReader,
        Nonce, Offset, Prefetch, ReadError, Reader, Stepped,
    },
    retry::{Policy, retry},
};
use tokio::time::Instant;

use super::{appender::Appender, commit::is_copy, error::ReshardError, source::SILENCE_MAX};

/// As whom the shards are claimed.
pub(super) const NODE: &str = "reshard";

const RECORDS_MAX: usize = 256;
const READ_WAIT_MAX: Duration = Duration::from_secs(1);

pub(super) struct NewShard {
    log: Arc<dyn EventLog>,
    shard: ShardId,
    clock: Clock,
    found: Found,
    /// There once the shard is claimed.
    appender: Option<Appender>,
    /// Where the processes begin: behind the commits that they are done with, up to the first other one.
    settled: Option<Checkpoint>,
    is_settled: bool,
}

/// What stands in the shard.
struct Found {
    /// Open while there is something to read.
    reader: Option<Box<dyn LogReader>>,
    machine: Reader,
    /// It is read up to here.
    end: Offset,
    commits: VecDeque<(Commit, Checkpoint)>,
    /// Of the first claim.
    began: Option<ClaimInfo>,
}

impl NewShard {
    pub(super) async fn open(
        log: &Arc<dyn EventLog>,
        shard: ShardId,
        clock: &Clock,
    ) -> Result<Self, ReshardError> {
        // A topic that was made a moment ago may have no leader yet.
        let may_retry = |error: &ReadError| matches!(error, ReadError::Unavailable(_));
        let range = retry(Policy::QUICK, may_retry, || log.range(shard)).await?;
        if range.start > 0 {
            return Err(ReshardError::TargetDiffers { shard, seq: 1 });
        }
        let found = Found {
            reader: None,
            machine: Reader::start(),
            end: range.end,
            commits: VecDeque::new(),
            began: None,
        };
        let (log, clock) = (Arc::clone(log), clock.clone());
        Ok(Self { log, shard, clock, found, appender: None, settled: None, is_settled: true })
    }

    /// The claim that began the copy in this shard; made now if there is none.
    pub(super) async fn began(&mut self) -> Result<ClaimInfo, ReshardError> {
        if self.found.end == 0 {
            self.claim().await?;
        }
        while self.found.began.is_none() && self.found.next_offset() < self.found.end {
            self.found.read(&*self.log, self.shard).await?;
        }
        let shard = self.shard;
        self.found.began.clone().ok_or(ReshardError::TargetDiffers { shard, seq: 1 })
    }

    /// The next commit of the copy: found, or else appended. True if it was found.
    pub(super) async fn put(
        &mut self,
        body: CommitBody,
        is_settled: bool,
    ) -> Result<bool, ReshardError> {
        if let Some((found, behind)) = self.next_found().await? {
            if !is_copy(&found.body, &body) {
                return Err(ReshardError::TargetDiffers { shard: self.shard, seq: found.seq });
            }
            self.note(is_settled, behind);
            return Ok(true);
        }
        let log_id = self.found.machine.log_id();
        let appender = self.appender()?;
        let place = appender.commit(body).await?;
        let behind = Checkpoint {
            log_id,
            next_offset: appender.end(),
            epoch: place.epoch,
            claim: Some(place.claim),
            last_seq: place.seq,
        };
        self.note(is_settled, behind);
        Ok(false)
    }

    /// Waits until all of it is in the log, and nothing else. The place where the processes begin.
    pub(super) async fn finish(&mut self) -> Result<Option<Checkpoint>, ReshardError> {
        let shard = self.shard;
        if let Some(appender) = &mut self.appender {
            appender.settle().await?;
            if self.log.range(shard).await?.end != appender.end() {
                return Err(ReshardError::TargetMoved { shard });
            }
        } else if let Some((more, _)) = self.found.next(&*self.log, shard).await? {
            return Err(ReshardError::TargetDiffers { shard, seq: more.seq });
        }
        Ok(self.settled)
    }

    fn note(&mut self, is_settled: bool, behind: Checkpoint) {
        self.is_settled &= is_settled;
        if self.is_settled {
            self.settled = Some(behind);
        }
    }

    /// The next one that stands in the shard; at the end the shard is claimed, and what came in before the
    /// claim is read as well.
    async fn next_found(&mut self) -> Result<Option<(Commit, Checkpoint)>, ReshardError> {
        loop {
            if let Some(found) = self.found.next(&*self.log, self.shard).await? {
                return Ok(Some(found));
            }
            if self.appender.is_some() {
                return Ok(None);
            }
            self.claim().await?;
        }
    }

    async fn claim(&mut self) -> Result<(), ReshardError> {
        let info = ClaimInfo {
            node: NODE.to_owned(),
            url: String::new(),
            started_at: self.clock.now(),
            software: concat!("tradewind/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let claim = ClaimRecord { nonce: Nonce::random(), info };
        let appender = Appender::claim(&*self.log, self.shard, claim).await?;
        if appender.epoch() < self.found.end {
            return Err(ReshardError::TargetMoved { shard: self.shard });
        }
        self.found.end = appender.end();
        self.appender = Some(appender);
        Ok(())
    }

    /// When all that stands in the shard has been read. The first time the claim has just been.
    fn appender(&mut self) -> Result<&mut Appender, ReshardError> {
        let (shard, machine) = (self.shard, &self.found.machine);
        let moved = ReshardError::TargetMoved { shard };
        let Some(appender) = &mut self.appender else { return Err(moved) };
        if self.found.reader.take().is_some() {
            if machine.epoch() != appender.epoch() {
                return Err(moved);
            }
            appender.go_on_after(machine.last_seq());
        }
        Ok(appender)
    }
}

impl Found {
    fn next_offset(&self) -> Offset {
        self.machine.next_offset()
    }

    async fn next(
        &mut self,
        log: &dyn EventLog,
        shard: ShardId,
    ) -> Result<Option<(Commit, Checkpoint)>, ReshardError> {
        while self.commits.is_empty() && self.next_offset() < self.end {
            self.read(log, shard).await?;
        }
        Ok(self.commits.pop_front())
    }

    async fn read(&mut self, log: &dyn EventLog, shard: ShardId) -> Result<(), ReshardError> {
        let next_offset = self.next_offset();
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(log.open_reader(shard, next_offset, Prefetch::Level).await?),
        };
        let left = usize::try_from(self.end - next_offset).unwrap_or(RECORDS_MAX);
        let deadline = Instant::now() + SILENCE_MAX;
        let records = loop {
            let records = reader.read(left.min(RECORDS_MAX), READ_WAIT_MAX).await?;
            if !records.is_empty() {
                break records;
            }
            if Instant::now() > deadline {
                return Err(ReadError::Unavailable("its records do not come".into()).into());
            }
        };
        for record in records {
            match self.machine.step(record).map_err(ReadError::from)? {
                Stepped::Claimed { claim: ClaimRecord { info, .. }, .. } if info.node == NODE => {
                    self.began = self.began.take().or(Some(info));
                }
                Stepped::Claimed { claim, .. } => {
                    return Err(ReshardError::TargetInUse { shard, node: claim.info.node });
                }
                Stepped::Commit(commit) => {
                    self.commits.push_back((commit, self.machine.checkpoint()));
                }
                Stepped::Ignored(Ignored::Foreign(_)) => {
                    let seq = self.machine.last_seq() + 1;
                    return Err(ReshardError::TargetDiffers { shard, seq });
                }
                // Of a run that was cut off.
                Stepped::Partial | Stepped::Ignored(_) => {}
            }
        }
        Ok(())
    }
}
