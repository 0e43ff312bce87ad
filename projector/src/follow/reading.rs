//! The log of a shard, read once and decoded once for all that stand level, a little ahead of them.
//!
//! A batch is what has come while the last one was under way, and what comes to it in the little time that
//! it waits for company: one transaction more or less is what a busy machine notices. What comes to a log
//! that was idle goes at once, for nobody knows when company would come.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use infra::log::{Checkpoint, EventRecord, Offset, ReadError, follow::Follower};
use read_models::Projection;
use tokio::time::{Instant, timeout_at};

use crate::{
    apply::shared::{LogEnd, Site},
    event::Commit,
};

/// Records that are read and decoded at once; a transaction that is under way waits for that.
const RECORDS_MAX: usize = 500;
/// What is read ahead, and so what a batch takes at most: events, and commits without any. Beyond it
/// the log waits.
const AHEAD_MAX: usize = 5_000;

/// Nothing has come to an idle log for so many times of what a batch waits for company.
const IDLE: u32 = 5;

pub(super) struct Reading {
    follower: Follower,
    log_end: Arc<LogEnd>,
    /// Those who take part, now or later: what none of them wants is not decoded.
    projections: Vec<Projection>,
    /// How long a batch waits for company.
    company: Duration,
    ahead: VecDeque<Commit>,
    /// Of what is ahead.
    weight: usize,
    /// When the last commit came.
    came: Option<Instant>,
    /// Until when what is ahead waits for company, from when its first commit came.
    due: Option<Instant>,
    /// Why nothing more can be read.
    failed: Option<ReadError>,
}

impl Reading {
    pub(super) async fn open(site: &Site, from: Checkpoint) -> Result<Self, ReadError> {
        let follower = Follower::tail(&*site.shared.log, site.shard, Some(from)).await?;
        let log_end = Arc::clone(&site.log_end);
        let wanted = site.shared.served.iter().map(|served| served.projection).collect();
        Ok(Self::new(follower, log_end, wanted, site.shared.gather))
    }

    fn new(
        follower: Follower,
        log_end: Arc<LogEnd>,
        projections: Vec<Projection>,
        company: Duration,
    ) -> Self {
        Self {
            follower,
            log_end,
            projections,
            company,
            ahead: VecDeque::new(),
            weight: 0,
            came: None,
            due: None,
            failed: None,
        }
    }

    /// Waits until there is something to take. Safe to drop and to call again.
    pub(super) async fn gather(&mut self) {
        while self.ahead.is_empty() && self.failed.is_none() {
            self.read_on().await;
        }
        while let Some(due) = self.due
            && Instant::now() < due
            && self.has_room()
        {
            timeout_at(due, self.read_on()).await.ok();
        }
    }

    /// Whether more may be read.
    #[must_use]
    pub(super) fn has_room(&self) -> bool {
        self.weight < AHEAD_MAX && self.failed.is_none()
    }

    /// Reads what there is, or waits for it, a second at most. Dropping it loses nothing.
    pub(super) async fn read_on(&mut self) {
        if !self.has_room() {
            return;
        }
        match self.follower.next(RECORDS_MAX).await {
            Ok(commits) => {
                let checkpoint = self.follower.checkpoint();
                self.log_end.has_read(self.follower.next_offset(), checkpoint.next_offset);
                if !commits.is_empty() {
                    self.have_come(Instant::now());
                }
                let wants = |record: &EventRecord| {
                    self.projections.iter().any(|projection| projection.wants(&record.stream))
                };
                for commit in &commits {
                    let commit = Commit::decode(checkpoint.log_id, commit, wants);
                    self.weight += weight(&commit);
                    self.ahead.push_back(commit);
                }
            }
            Err(error) => self.failed = Some(error),
        }
    }

    fn have_come(&mut self, now: Instant) {
        let is_busy = self.came.is_some_and(|came| now <= came + self.company * IDLE);
        if self.ahead.is_empty() {
            self.due = is_busy.then(|| now + self.company);
        }
        self.came = Some(now);
    }

    /// What was read, up to this offset if there is one, but not nothing: who waits where no commit
    /// ends would wait for ever.
    ///
    /// # Errors
    /// If the log cannot be read, and all that was read before is taken.
    pub(super) fn take(&mut self, until: Option<Offset>) -> Result<Vec<Commit>, ReadError> {
        if self.ahead.is_empty()
            && let Some(failed) = self.failed.take()
        {
            return Err(failed);
        }
        let is_before =
            |commit: &&Commit| until.is_none_or(|until| commit.checkpoint.next_offset <= until);
        let count = self.ahead.iter().take_while(is_before).count();
        let count = count.max(1).min(self.ahead.len());
        let taken: Vec<_> = self.ahead.drain(..count).collect();
        self.weight -= taken.iter().map(weight).sum::<usize>();
        // What is left has waited.
        self.due = None;
        Ok(taken)
    }
}

fn weight(commit: &Commit) -> usize {
    commit.events.len().max(1)
}

#[cfg(test)]
mod tests {
    use domain::shard::ShardId;
    use infra::log::{memory::MemoryLog, owner::Owner};

    use super::*;

    const COMPANY: Duration = Duration::from_millis(2);

    /// A log of one shard, who writes it, and who reads it.
    async fn opened(log: &MemoryLog) -> (Owner, Reading) {
        let owner = Owner::claim(log, ShardId::new(0)).await.expect("a shard");
        let follower = Follower::open(log, ShardId::new(0), None).await.expect("a shard");
        (owner, Reading::new(follower, Arc::default(), Vec::new(), COMPANY))
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_to_an_idle_log_waits_for_no_company_and_to_a_busy_one_it_does() {
        let log = MemoryLog::new(1);
        let (mut owner, mut reading) = opened(&log).await;
        let mut waited = async |idle_for: Duration| {
            tokio::time::advance(idle_for).await;
            owner.barrier().await.expect("a log");
            let began = Instant::now();
            reading.gather().await;
            assert_eq!(reading.take(None).unwrap().len(), 1);
            began.elapsed() >= COMPANY
        };
        assert!(!waited(Duration::ZERO).await, "it begins");
        assert!(waited(COMPANY).await, "something came a moment ago");
        assert!(waited(COMPANY).await);
        assert!(!waited(COMPANY * (IDLE + 2)).await, "nothing has come for a while");
    }

    #[tokio::test(start_paused = true)]
    async fn company_is_waited_for_from_when_the_first_commit_came() {
        let log = MemoryLog::new(1);
        let (mut owner, mut reading) = opened(&log).await;
        for _ in 0..2 {
            owner.barrier().await.expect("a log");
            reading.read_on().await;
        }
        reading.take(None).unwrap();
        owner.barrier().await.expect("a log");
        reading.read_on().await;
        // A batch was under way so long.
        tokio::time::advance(COMPANY).await;
        let began = Instant::now();
        reading.gather().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_ends_where_somebody_waits_to_join() {
        let log = MemoryLog::new(1);
        let (mut owner, mut reading) = opened(&log).await;
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.push(owner.barrier().await.expect("a log"));
        }
        reading.gather().await;
        let taken = reading.take(Some(ends[1])).unwrap();
        assert_eq!(taken.last().map(|commit| commit.checkpoint.next_offset), Some(ends[1]));
        assert_eq!((taken.len(), reading.weight), (2, 1));
        assert_eq!(reading.take(None).unwrap().len(), 1);
    }
}
