//! One projection in one shard by itself: it reads its own log, and is as patient as it must be.
//!
//! So goes on who would hold up the others of the shard: whose events do not apply, whose tables are
//! locked or slow, whose checkpoint is somewhere else. It goes back to them when it is level and has been
//! alone for its time.
//!
//! **Invariant:** it begins at the stored checkpoint, and ends before the group takes it in, so nobody
//! writes for a projection beside it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use domain::shard::ShardId;
use infra::{
    log::{ReadError, follow::Follower},
    retry::Waits,
    shutdown::Shutdown,
    telemetry::{chain, emit},
};
use tokio::time::Instant;

use super::{group::decide::may_come_back, reading::RECORDS_MAX};
use crate::{
    apply::{
        RETRY,
        batch::Failed,
        events::{ApplyFailed, ReadFailed},
        meter::LogEnd,
        shared::Shared,
        write::{Phase, Writer},
    },
    event::Commit,
    store::{checkpoints::CheckpointRow, versions::Served},
};

pub(super) struct Alone {
    pub shared: Arc<Shared>,
    pub served: Served,
    pub shard: ShardId,
    pub log_end: Arc<LogEnd>,
    pub stop: Shutdown,
    /// Where the group stands.
    pub group: Arc<AtomicI64>,
    /// Until when it does not go back.
    pub until: Instant,
    /// Somebody has let it go on, or it begins.
    pub resumes: bool,
}

/// How it ends.
pub(super) enum Ended {
    /// As it was asked to.
    Stopped,
    /// It may come back.
    Level(Box<Writer>),
    /// Somebody else moved the checkpoint.
    Lost,
    /// The version has been dropped.
    Gone,
    /// It cannot go on, and says so, until somebody says that it may.
    Halted(CheckpointRow),
    /// Nor can the others: asking the log again will not help.
    Unreadable(ReadError),
}

impl Alone {
    pub(super) async fn run(self) -> Ended {
        let mut writer = match self.open().await {
            Ok(writer) => writer,
            Err(ended) => return ended,
        };
        if self.resumes {
            writer.resume().await;
        }
        let (mut follower, mut waits) = (None, RETRY.waits());
        loop {
            let (own, group) = (writer.checkpoint.next_offset, self.group.load(Ordering::Relaxed));
            if may_come_back(own, group, self.until, Instant::now()) {
                return Ended::Level(Box::new(writer));
            }
            let read = tokio::select! {
                biased;
                () = self.stop.requested() => return Ended::Stopped,
                read = self.read(&mut follower, &writer, &mut waits) => read,
            };
            let commits = match read {
                Ok(commits) => commits,
                Err(error) => return Ended::Unreadable(error),
            };
            let commits: Vec<&Commit> = commits.iter().collect();
            if let Err(failed) = writer.apply(&commits).await {
                // What of it is in, the checkpoint tells.
                follower = None;
                if let Some(ended) = self.give_up(&mut writer, failed).await {
                    return ended;
                }
            }
        }
    }

    /// At the stored checkpoint, however long PostgreSQL is away.
    async fn open(&self) -> Result<Writer, Ended> {
        let mut waits = RETRY.waits();
        let party = (self.served.name(), self.shard);
        loop {
            let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
            match Writer::open(shared, &self.served, self.shard, Phase::Following, stop).await {
                Ok(mut writer) => {
                    self.shared.postgres.clear(&party);
                    writer.log_end = Arc::clone(&self.log_end);
                    return Ok(writer);
                }
                Err(sqlx::Error::RowNotFound) => return Err(Ended::Gone),
                Err(error) => {
                    emit(ApplyFailed { projection: party.0, shard: party.1, error: &error });
                    let reason = "PostgreSQL does not answer".to_owned();
                    self.shared.postgres.raise(party, reason);
                }
            }
            tokio::select! {
                _ = waits.wait() => {}
                () = self.stop.requested() => return Err(Ended::Stopped),
            }
        }
    }

    /// What comes next; nothing after a while at the log's end.
    async fn read(
        &self,
        follower: &mut Option<Follower>,
        writer: &Writer,
        waits: &mut Waits,
    ) -> Result<Vec<Commit>, ReadError> {
        let read = async {
            let following = match follower.take() {
                Some(following) => following,
                None => {
                    let (log, at) = (&*self.shared.log, Some(writer.checkpoint));
                    Follower::open(log, self.shard, at).await?
                }
            };
            // Dropped while it waits, it goes on where it was.
            let following = follower.insert(following);
            let commits = following.next(RECORDS_MAX).await?;
            let at = following.checkpoint();
            self.log_end.has_read(following.next_offset(), at.next_offset);
            let decoded = commits.iter().map(|commit| Commit::decode(at.log_id, commit)).collect();
            Ok::<Vec<Commit>, ReadError>(decoded)
        };
        match read.await {
            Err(error @ ReadError::Unavailable(_)) => {
                emit(ReadFailed { shard: self.shard, error: &error });
                *follower = None;
                waits.wait().await;
                Ok(Vec::new())
            }
            read => {
                waits.reset();
                read
            }
        }
    }

    /// What follows from a batch that is not in; none if it goes on.
    async fn give_up(&self, writer: &mut Writer, failed: Failed) -> Option<Ended> {
        let reason = match failed {
            Failed::Stopped => return Some(Ended::Stopped),
            Failed::Lost => {
                let gone = matches!(
                    writer.row.read(&self.shared.pool).await,
                    Err(sqlx::Error::RowNotFound)
                );
                return Some(if gone { Ended::Gone } else { Ended::Lost });
            }
            Failed::Full(reason) => {
                writer.halt(&reason).await;
                let ended = self.wait_for_room(writer).await;
                if ended.is_none() {
                    writer.resume().await;
                }
                return ended;
            }
            Failed::Unfit | Failed::TooMuch | Failed::WipedOut => {
                "the batch does not apply".to_owned()
            }
            Failed::Stuck(reason) => reason,
            Failed::Database(error) => chain(&error).to_string(),
        };
        writer.halt(&reason).await;
        Some(Ended::Halted(writer.row))
    }

    /// Waits until an operator has settled some of what is parked.
    async fn wait_for_room(&self, writer: &mut Writer) -> Option<Ended> {
        let mut waits = RETRY.waits();
        loop {
            tokio::select! {
                _ = waits.wait() => {}
                () = self.stop.requested() => return Some(Ended::Stopped),
            }
            match writer.row.read(&self.shared.pool).await {
                Ok(stored) if stored.checkpoint != writer.checkpoint => return Some(Ended::Lost),
                Ok(stored) if stored.letters != writer.dead_letters.changes => {
                    if writer.reload(stored).await.is_ok() {
                        return None;
                    }
                }
                Err(sqlx::Error::RowNotFound) => return Some(Ended::Gone),
                // What keeps PostgreSQL from answering, batches of others tell.
                Ok(_) | Err(_) => {}
            }
        }
    }
}
