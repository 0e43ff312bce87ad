//! The projections of one shard that stand level: one reading, one transaction for each batch.
//!
//! Most commits concern one or two projections, and yet each projection must move its checkpoint past
//! them. Together that is one statement and one commit, whatever number of projections there is.
//!
//! Who does not keep up leaves: its events do not apply, its tables are locked, its checkpoint is held or
//! was moved, it takes long. The batch is tried again at once without it, so that the others lose one
//! batch's time; it goes on by itself (`alone`), and comes back when it is level (`decide` has the rules).
//!
//! **Invariant:** a member stands where the group does, in every column of its checkpoint. One that is
//! ahead when it comes back stands still, and the group's next batch ends where it stands.
//!
//! **Invariant:** a member that leaves takes nothing along. It begins at the stored checkpoint, when the
//! transaction that it was part of has ended.

pub(crate) mod decide;
mod outside;
mod transaction;

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    log::{Checkpoint, ReadError},
    postgres::errors::is_transient,
    retry::{Policy, Waits},
    shutdown::Shutdown,
    task,
    telemetry::chain,
};
use tracing::info;

use super::{alone::Ended, reading::Reading};
use crate::{
    apply::{
        RETRY,
        batch::Failed,
        meter::{self, LogEnd},
        shared::Shared,
        write::{RECREATED, Writer},
    },
    event::Commit,
    store::checkpoints::{CheckpointRow, stored},
};
use decide::{NOWHERE, Verdict, fate, held_up, judge};
pub(super) use outside::Over;
use outside::{Outside, came_back, lost};
use transaction::Setback;

/// Between tries while others hold checkpoints, which they do for a moment, or for long.
const HELD: Policy = Policy {
    tries_max: None,
    wait_min: Duration::from_millis(2),
    wait_max: Duration::from_millis(50),
};

pub(super) struct Group {
    shared: Arc<Shared>,
    shard: ShardId,
    stop: Shutdown,
    log_end: Arc<LogEnd>,
    /// Where the members stand.
    at: Checkpoint,
    /// None without members.
    reading: Option<Reading>,
    members: Vec<Writer>,
    /// Those who come back and stand ahead of the members.
    joining: Vec<Writer>,
    outside: Outside,
    connection: transaction::Kept,
}

impl Group {
    pub(super) fn new(
        shared: &Arc<Shared>,
        shard: ShardId,
        log_end: &Arc<LogEnd>,
        stop: &Shutdown,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            shard,
            stop: stop.clone(),
            log_end: Arc::clone(log_end),
            at: Checkpoint::START,
            reading: None,
            members: Vec::new(),
            joining: Vec::new(),
            outside: Outside::new(shared, shard, log_end, stop),
            connection: None,
        }
    }

    /// Goes on until there is a reason to end, and ends when all that is under way has.
    pub(super) async fn run(mut self, writers: Vec<Writer>) -> Over {
        let Err(over) = self.go_on(writers).await;
        // A transaction must never be dropped half-way: one that is dropped while it begins stays open
        // in the pool, and with it its locks.
        self.stop.request();
        match self.outside.end().await {
            Ok(()) => over,
            Err(failed) => Over::Failed(failed),
        }
    }

    async fn go_on(&mut self, writers: Vec<Writer>) -> Result<Infallible, Over> {
        self.begin(writers).await?;
        let shard = self.shard;
        info!(shard.id = %shard, "serving shard {shard}");
        let meter = meter::run(Arc::clone(&self.shared), shard, Arc::clone(&self.log_end));
        let _meter = task::spawn("projector meter", meter);
        loop {
            let (company, has_members) = (self.shared.gather, !self.members.is_empty());
            let ended = tokio::select! {
                biased;
                () = self.stop.requested() => return Err(Over::Stopped),
                ended = self.outside.next() => Some(ended.map_err(Over::Failed)?),
                gathered = gather(&mut self.reading, company), if has_members => {
                    gathered?;
                    None
                }
            };
            match ended {
                Some(ended) => self.hear(ended).await?,
                None => {
                    let until = self.joining.iter().map(|it| it.checkpoint.next_offset).min();
                    let batch = self.reading.as_mut().map(|reading| reading.take(until));
                    self.apply(&batch.unwrap_or_default()).await?;
                    self.join();
                }
            }
        }
    }

    /// Those who stand where most do are the first members.
    async fn begin(&mut self, writers: Vec<Writer>) -> Result<(), Over> {
        let stand: Vec<Checkpoint> = writers.iter().map(|writer| writer.checkpoint).collect();
        let at = decide::beginning(&stand);
        for mut writer in writers {
            if Some(writer.checkpoint) == at {
                writer.resume().await;
                writer.log_end = Arc::clone(&self.log_end);
                self.joining.push(writer);
            } else {
                self.outside.begins(writer.row);
            }
        }
        self.begin_anew().await
    }

    /// Without members the group stands where the first one does that comes back.
    async fn begin_anew(&mut self) -> Result<(), Over> {
        self.reading = None;
        self.outside.group_is_at(NOWHERE);
        let first = self.joining.iter().map(|it| it.checkpoint).min_by_key(|it| it.next_offset);
        let Some(at) = first else { return Ok(()) };
        let log_end = Arc::clone(&self.log_end);
        self.reading = Some(Reading::open(&*self.shared.log, self.shard, at, log_end).await?);
        self.shared.unreadable.clear(&self.shard);
        self.stand_at(at);
        self.join();
        Ok(())
    }

    fn stand_at(&mut self, at: Checkpoint) {
        self.at = at;
        self.outside.group_is_at(at.next_offset);
    }

    async fn hear(&mut self, ended: Option<Ended>) -> Result<(), Over> {
        let Some(writer) = self.outside.take(ended).await? else { return Ok(()) };
        self.joining.push(writer);
        if self.members.is_empty() {
            return self.begin_anew().await;
        }
        self.join();
        Ok(())
    }

    /// Takes in those who stand where the members do. Whom they have overtaken while it came back goes on
    /// alone and comes again; so does, later, who is as far and yet somewhere else (somebody has changed
    /// its checkpoint by hand, say).
    fn join(&mut self) {
        let at = self.at;
        let is_reached = |it: &mut Writer| it.checkpoint.next_offset <= at.next_offset;
        let reached: Vec<Writer> = self.joining.extract_if(.., is_reached).collect();
        for writer in reached {
            if writer.checkpoint == at {
                came_back(writer.row);
                self.members.push(writer);
            } else if writer.checkpoint.next_offset < at.next_offset {
                self.outside.comes_again(writer.row);
            } else {
                self.outside.leaves(writer.row, "it does not stand where the others do");
            }
        }
        self.members.sort_by_key(|member| member.row);
    }

    /// Writes a batch for all members, however long PostgreSQL is away; for those who leave it is still
    /// ahead.
    async fn apply(&mut self, commits: &[Commit]) -> Result<(), Over> {
        let Some(last) = commits.last() else { return Ok(()) };
        if self.at.log_id.is_some() && self.at.log_id != last.checkpoint.log_id {
            // Each of them says so, and halts.
            self.all_leave(RECREATED);
        }
        // Whoever comes back meanwhile must be as far.
        self.outside.group_is_at(last.checkpoint.next_offset);
        let (mut waits, mut held_waits, mut tries) = (RETRY.waits(), HELD.waits(), 0);
        while !self.members.is_empty() {
            tries += 1;
            let verdict = match self.write(commits).await {
                Ok(taken) => {
                    self.has_written(last, tries > 1);
                    if let Some(index) = held_up(&taken) {
                        self.leave(index, "it takes long");
                    }
                    break;
                }
                Err(Setback::Fault(index, failed)) => {
                    self.leave(index, &describe(failed));
                    continue;
                }
                Err(Setback::Unmoved(unmoved)) => {
                    let verdict = self.look(last, &unmoved, tries).await?;
                    if verdict == Verdict::Again {
                        pause(&self.stop, &mut held_waits).await?;
                    }
                    verdict
                }
                Err(Setback::Database(error)) if is_transient(&error) => {
                    for member in &self.members {
                        member.report_failure(&error);
                    }
                    pause(&self.stop, &mut waits).await?;
                    self.look(last, &[], tries).await?
                }
                Err(Setback::Database(error)) => {
                    // Each of them finds out what it can do.
                    self.all_leave(&chain(&error).to_string());
                    continue;
                }
            };
            if verdict == Verdict::In {
                break;
            }
        }
        if self.members.is_empty() { self.begin_anew().await } else { Ok(()) }
    }

    /// Reads on while the transaction is under way.
    async fn write(&mut self, commits: &[Commit]) -> Result<Vec<Duration>, Setback> {
        let Self { shared, connection, members, reading, .. } = self;
        let mut write = pin!(transaction::write(shared, connection, members, commits));
        loop {
            let has_room = reading.as_ref().is_some_and(Reading::has_room);
            tokio::select! {
                biased;
                written = &mut write => return written,
                () = read_on(reading), if has_room => {}
            }
        }
    }

    fn has_written(&mut self, last: &Commit, had_failed: bool) {
        self.stand_at(last.checkpoint);
        if had_failed {
            for member in &self.members {
                self.shared.postgres.clear(&member.party());
            }
        }
    }

    /// Looks what has become of a try, and does what follows.
    async fn look(
        &mut self,
        last: &Commit,
        unmoved: &[usize],
        tries: u32,
    ) -> Result<Verdict, Over> {
        let rows: Vec<CheckpointRow> = self.members.iter().map(|member| member.row).collect();
        // What is not known now is found by the next try.
        let Ok(found) = stored(&self.shared.pool, &rows).await else { return Ok(Verdict::Again) };
        let fates = self.members.iter().zip(&found).map(|(member, found)| {
            let (_, letters) = member.compared();
            fate(&member.checkpoint, letters, &last.checkpoint, found.as_ref())
        });
        let verdict = judge(&fates.collect::<Vec<_>>(), unmoved, tries);
        match &verdict {
            Verdict::Again => {}
            Verdict::Lost => return Err(lost(self.shard)),
            Verdict::Without(others) => {
                for index in others.iter().rev() {
                    self.leave(*index, "its checkpoint is held or somewhere else");
                }
            }
            Verdict::In => {
                for (member, found) in self.members.iter_mut().zip(found) {
                    let Some(found) = found else { return Ok(Verdict::Again) };
                    if member.reload(found).await.is_err() {
                        return Ok(Verdict::Again);
                    }
                }
                for member in &mut self.members {
                    member.checkpoint = last.checkpoint;
                }
                self.has_written(last, true);
            }
        }
        Ok(verdict)
    }

    fn all_leave(&mut self, why: &str) {
        for member in std::mem::take(&mut self.members) {
            self.outside.leaves(member.row, why);
        }
    }

    fn leave(&mut self, index: usize, why: &str) {
        let row = self.members.remove(index).row;
        self.outside.leaves(row, why);
    }
}

async fn pause(stop: &Shutdown, waits: &mut Waits) -> Result<(), Over> {
    tokio::select! {
        _ = waits.wait() => Ok(()),
        () = stop.requested() => Err(Over::Stopped),
    }
}

/// Waits for ever where nothing is read.
async fn gather(reading: &mut Option<Reading>, company: Duration) -> Result<(), ReadError> {
    match reading {
        Some(reading) => reading.gather(company).await,
        None => pending().await,
    }
}

/// Waits for ever where nothing is read.
async fn read_on(reading: &mut Option<Reading>) {
    match reading {
        Some(reading) => reading.read_on().await,
        None => pending().await,
    }
}

fn describe(failed: Failed) -> String {
    match failed {
        Failed::Database(error) => chain(&error).to_string(),
        Failed::Full(reason) | Failed::Stuck(reason) => reason,
        Failed::Unfit => "an event does not apply".to_owned(),
        Failed::Stopped | Failed::Lost | Failed::WipedOut | Failed::TooMuch => {
            "its batch does not go through".to_owned()
        }
    }
}
