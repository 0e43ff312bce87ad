//! One projection in one shard by itself: it reads its own log, and is as patient as it must be.
//!
//! So goes on who would hold up the others of the shard: whose events do not apply, whose tables are
//! locked or slow, whose checkpoint is somewhere else. It goes back to them when it is level and has been
//! alone for its time.
//!
//! **Invariant:** it begins at the stored checkpoint, and ends before the group takes it in, so nobody
//! writes for a projection beside it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use domain::shard::ShardId;
use infra::{
    log::{Checkpoint, ReadError},
    task::TaskFailed,
    telemetry::{chain, emit},
};
use tokio::time::Instant;

use super::{group::decide::may_come_back, reading::Reading};
use crate::{
    apply::{
        RETRY,
        batch::Failed,
        events::ReadFailed,
        shared::Site,
        write::{Phase, RECREATED, Writer},
    },
    event::Commit,
    store::{checkpoints::Member, versions::Served},
};

/// How often what is halted looks whether it may go on.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Alone {
    pub site: Site,
    pub served: Served,
    /// Where the group stands.
    pub group: Arc<AtomicI64>,
    /// Until when it does not go back.
    pub until: Instant,
    /// Somebody has let it go on, or it begins.
    pub resumes: bool,
}

/// How it ends, while others go on.
pub(super) enum Ended {
    /// It may come back.
    Level(Box<Writer>),
    /// The version has been dropped.
    Gone,
    /// It cannot go on, and says so, until somebody says that it may or has changed what is parked.
    Halted(Member),
}

/// Why nobody goes on in a shard.
pub(super) enum Over {
    /// As it was asked to.
    Stopped,
    /// Somebody else serves the shard.
    Lost,
    Unreadable(ReadError),
    Failed(TaskFailed),
}

/// What is said of a log that asking again will not make readable.
pub(super) fn unreadable(shard: ShardId, error: &ReadError) -> String {
    let advice = match error {
        ReadError::Recreated { .. } | ReadError::OutOfRange { .. } => RECREATED,
        // It says so itself.
        ReadError::UnsupportedVersion { .. } => return format!("shard {shard}: {}", chain(error)),
        ReadError::Unavailable(_)
        | ReadError::NoSuchShard(_)
        | ReadError::Halted(_)
        | ReadError::Failed(_) => "the topic must be repaired",
    };
    format!("shard {shard}: {}; {advice}", chain(error))
}

impl Alone {
    pub(super) async fn run(self) -> Result<Ended, Over> {
        let Some(mut writer) = self.open().await? else { return Ok(Ended::Gone) };
        if self.resumes {
            writer.note_halt(None).await;
        }
        let (mut reading, mut waits) = (None, RETRY.waits());
        loop {
            let (own, group) = (writer.checkpoint.next_offset, self.group.load(Ordering::Relaxed));
            if may_come_back(own, group, self.until, Instant::now()) {
                return Ok(Ended::Level(Box::new(writer)));
            }
            let read = tokio::select! {
                biased;
                () = self.site.stop.requested() => return Err(Over::Stopped),
                read = self.read(&mut reading, writer.checkpoint) => read,
            };
            let commits = match read {
                Ok(commits) => commits,
                Err(error @ ReadError::Unavailable(_)) => {
                    emit(ReadFailed { shard: self.site.shard, error: &error });
                    reading = None;
                    self.site.pause(&mut waits).await.ok_or(Over::Stopped)?;
                    continue;
                }
                // The others may well read on: they stand elsewhere.
                Err(error) => {
                    emit(ReadFailed { shard: self.site.shard, error: &error });
                    let reason = unreadable(self.site.shard, &error);
                    writer.note_halt(Some(&reason)).await;
                    return Ok(Ended::Halted(writer.compared()));
                }
            };
            waits.reset();
            let commits: Vec<&Commit> = commits.iter().collect();
            match writer.apply(&commits).await {
                Ok(()) => {}
                Err(Failed::Stopped) => return Err(Over::Stopped),
                Err(Failed::Lost) => return Err(Over::Lost),
                Err(Failed::Database(sqlx::Error::RowNotFound)) => return Ok(Ended::Gone),
                Err(failed) => {
                    let reason = chain(&failed).to_string();
                    writer.note_halt(Some(&reason)).await;
                    return Ok(Ended::Halted(writer.compared()));
                }
            }
        }
    }

    /// At the stored checkpoint, however long PostgreSQL is away; none if the version has been dropped.
    async fn open(&self) -> Result<Option<Writer>, Over> {
        let mut waits = RETRY.waits();
        loop {
            match Writer::open(&self.site, &self.served, Phase::Following).await {
                Ok(writer) => return Ok(Some(writer)),
                Err(sqlx::Error::RowNotFound) => return Ok(None),
                Err(error) => self.site.report_failure(self.served.name(), &error),
            }
            self.site.pause(&mut waits).await.ok_or(Over::Stopped)?;
        }
    }

    /// What comes next; nothing after a while at the log's end.
    async fn read(
        &self,
        reading: &mut Option<Reading>,
        from: Checkpoint,
    ) -> Result<Vec<Commit>, ReadError> {
        let reading = match reading {
            Some(reading) => reading,
            None => reading.insert(Reading::open(&self.site, from).await?),
        };
        reading.read_on().await;
        reading.take(None)
    }
}
