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

use std::{convert::Infallible, io::ErrorKind, pin::pin, time::Duration};

use futures_util::future::OptionFuture;
use infra::{
    log::Checkpoint, postgres::errors::is_transient, retry::Policy, task, telemetry::chain,
};
use tokio::time::sleep;
use tracing::info;

use super::{
    alone::{Ended, Over},
    reading::Reading,
};
use crate::{
    apply::{RETRY, meter, shared::Site, write::Writer},
    event::Commit,
    fold::stored::KeptRows,
    store::{
        checkpoints::{CheckpointRow, stored},
        letters::NewlyParked,
    },
};
use decide::{Fate, HELD_TRIES_MAX, NOWHERE, Verdict, fate, held_up, judge};
use outside::Outside;
use transaction::Setback;

/// Between tries while others hold checkpoints, which they do for a moment, or for long.
const HELD: Policy = Policy {
    tries_max: None,
    wait_min: Duration::from_millis(2),
    wait_max: Duration::from_millis(50),
};

/// The server stops each statement of a batch sooner than this, but neither its commit nor what keeps its
/// answers from us.
const LATE: Duration = Duration::from_secs(5);
/// A group to which nothing comes gives its connection to others.
const KEPT_MAX: Duration = Duration::from_secs(1);

pub(super) struct Group {
    site: Site,
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
    pub(super) fn new(site: &Site) -> Self {
        Self {
            site: site.clone(),
            at: Checkpoint::START,
            reading: None,
            members: Vec::new(),
            joining: Vec::new(),
            outside: Outside::new(site),
            connection: None,
        }
    }

    /// Goes on until there is a reason to end, and ends when all that is under way has.
    pub(super) async fn run(mut self, writers: Vec<Writer>) -> Over {
        let Err(over) = self.go_on(writers).await;
        // A transaction must never be dropped half-way: one that is dropped while it begins stays open
        // in the pool, and with it its locks.
        self.site.stop.request();
        match self.outside.end().await {
            Ok(()) => over,
            Err(failed) => Over::Failed(failed),
        }
    }

    async fn go_on(&mut self, writers: Vec<Writer>) -> Result<Infallible, Over> {
        self.begin(writers).await?;
        let shard = self.site.shard;
        info!(shard.id = %shard, "serving shard {shard}");
        let _meter = task::spawn("projector meter", meter::run(self.site.clone()));
        loop {
            let gather = self.reading.as_mut().map(|it| it.gather());
            let ended = tokio::select! {
                biased;
                () = self.site.stop.requested() => return Err(Over::Stopped),
                ended = self.outside.next() => Some(ended?),
                () = sleep(KEPT_MAX), if self.connection.is_some() => {
                    self.connection = None;
                    continue;
                }
                Some(()) = OptionFuture::from(gather) => None,
            };
            match ended {
                Some(ended) => self.hear(ended).await?,
                None => {
                    let until = self.joining.iter().map(|it| it.checkpoint.next_offset).min();
                    let batch = self.reading.as_mut().map(|reading| reading.take(until));
                    let batch = batch.transpose().map_err(Over::Unreadable)?;
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
        for writer in writers {
            if Some(writer.checkpoint) == at {
                writer.note_halt(None).await;
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
        self.reading = Some(Reading::open(&self.site, at).await.map_err(Over::Unreadable)?);
        self.site.shared.unreadable.clear(&self.site.shard);
        self.stand_at(at);
        self.join();
        Ok(())
    }

    fn stand_at(&mut self, at: Checkpoint) {
        self.at = at;
        self.outside.group_is_at(at.next_offset);
    }

    async fn hear(&mut self, ended: Option<Ended>) -> Result<(), Over> {
        let Some(writer) = self.outside.take(ended).await else { return Ok(()) };
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
                self.outside.is_back(writer.row);
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
            // Each of them says what to do, and halts.
            self.all_leave("the log was made anew");
        }
        // Whoever comes back meanwhile must be as far.
        self.outside.group_is_at(last.checkpoint.next_offset);
        let (mut waits, mut held_waits, mut tries) = (RETRY.waits(), HELD.waits(), 0);
        while !self.members.is_empty() {
            tries += 1;
            let unmoved = match self.write(commits).await {
                Ok(taken) => {
                    self.stand_at(last.checkpoint);
                    if let Some(index) = held_up(&taken) {
                        self.leave(index, "it takes long");
                    }
                    break;
                }
                Err(Setback::Fault(index, failed)) => {
                    self.leave(index, &chain(&failed).to_string());
                    continue;
                }
                Err(Setback::Unmoved(unmoved)) => unmoved,
                Err(Setback::Database(error)) if is_transient(&error) => {
                    self.report_failure(&error);
                    self.site.pause(&mut waits).await.ok_or(Over::Stopped)?;
                    Vec::new()
                }
                Err(Setback::Database(error)) => {
                    // Each of them finds out what it can do.
                    self.all_leave(&chain(&error).to_string());
                    continue;
                }
            };
            match self.look(last, &unmoved, tries).await? {
                Verdict::In => break,
                Verdict::Again if !unmoved.is_empty() => {
                    if tries == HELD_TRIES_MAX {
                        // All are held, or some would have left.
                        let error = sqlx::Error::Protocol("somebody holds the checkpoints".into());
                        self.report_failure(&error);
                    }
                    self.site.pause(&mut held_waits).await.ok_or(Over::Stopped)?;
                }
                Verdict::Again | Verdict::Lost | Verdict::Without(_) => {}
            }
        }
        if self.members.is_empty() { self.begin_anew().await } else { Ok(()) }
    }

    fn report_failure(&self, error: &sqlx::Error) {
        for member in &self.members {
            self.site.report_failure(member.row.projection, error);
        }
    }

    /// Reads on while the transaction is under way.
    async fn write(&mut self, commits: &[Commit]) -> Result<Vec<Duration>, Setback> {
        let rows: Vec<CheckpointRow> = self.members.iter().map(|member| member.row).collect();
        let Self { site, connection, members, reading, .. } = self;
        let mut write = pin!(transaction::write(&site.shared, connection, members, commits));
        let (mut late, mut is_told) = (pin!(sleep(LATE)), false);
        loop {
            let roomy = reading.as_mut().filter(|reading| reading.has_room());
            tokio::select! {
                biased;
                written = &mut write => return written,
                () = &mut late, if !is_told => {
                    is_told = true;
                    let error = sqlx::Error::Io(ErrorKind::TimedOut.into());
                    rows.iter().for_each(|row| site.report_failure(row.projection, &error));
                }
                Some(()) = OptionFuture::from(roomy.map(Reading::read_on)) => {}
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
        let found = match stored(&self.site.shared.batches, &rows).await {
            Ok(found) => found,
            // What is not known now is found by the next try.
            Err(error) if is_transient(&error) => return Ok(Verdict::Again),
            // Each of them finds out what it can do.
            Err(error) => {
                self.all_leave(&chain(&error).to_string());
                return Ok(Verdict::Again);
            }
        };
        let fates = self.members.iter().zip(&found).map(|(member, found)| {
            let (_, letters) = member.compared();
            fate(&member.checkpoint, letters, &last.checkpoint, found.as_ref())
        });
        let fates: Vec<Fate> = fates.collect();
        let verdict = judge(&fates, unmoved, tries);
        match &verdict {
            Verdict::Again => {}
            Verdict::Lost => return Err(Over::Lost),
            Verdict::Without(others) => {
                for index in others.iter().rev() {
                    match fates[*index] {
                        // It reads what there is now, and is back.
                        Fate::Changed => {
                            let row = self.members.remove(*index).row;
                            self.outside.comes_again(row);
                        }
                        Fate::Gone => self.leave(*index, "it has been dropped"),
                        Fate::In | Fate::Elsewhere => {
                            self.leave(*index, "its checkpoint was moved")
                        }
                        Fate::Same => self.leave(*index, "its checkpoint is held"),
                    }
                }
            }
            Verdict::In => {
                for member in &mut self.members {
                    // Only then does it know what the batch has parked.
                    let Ok(at) = member.reload().await else { return Ok(Verdict::Again) };
                    if at != last.checkpoint {
                        return Ok(Verdict::Again);
                    }
                }
                for member in &mut self.members {
                    let (added, kept) = (NewlyParked::default(), KeptRows::default());
                    member.has_written(last.checkpoint, added, kept);
                }
                self.stand_at(last.checkpoint);
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
