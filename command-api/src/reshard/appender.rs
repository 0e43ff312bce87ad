//! Writes one new shard: a claim, and commits behind it.
//!
//! **Invariant:** every record stands at the offset that it was to have. Then all records of this epoch stand
//! one behind the other, and a reader takes every commit. Whatever else is reported ends the run; the next one
//! reads what really stands there.

use std::collections::VecDeque;

use domain::shard::ShardId;
use infra::log::{
    AppendError, ClaimRecord, CommitBody, EventLog, LogWriter, Offset, OutgoingRecord, Place,
    Report, Ticket,
};
use tokio::sync::mpsc;

use super::{
    commit::{bytes, placed},
    error::ReshardError,
};

/// Records of a shard that are under way; one more waits for the oldest.
const IN_FLIGHT_MAX: usize = 2_000;
/// What those of all shards take; each has its part.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;

pub(super) struct Appender {
    shard: ShardId,
    writer: Box<dyn LogWriter>,
    reports: mpsc::Receiver<Report>,
    /// Of the last commit.
    place: Place,
    /// After the last record.
    end: Offset,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    in_flight_bytes_max: usize,
}

struct InFlight {
    ticket: Ticket,
    offset: Offset,
    bytes: usize,
}

impl Appender {
    /// Claims the shard. The number of its last commit is told later, by [`Appender::go_on_after`].
    pub(super) async fn claim(
        log: &dyn EventLog,
        shard: ShardId,
        claim: ClaimRecord,
    ) -> Result<Self, ReshardError> {
        let (mut writer, mut reports) = log.open_writer(shard).await?;
        let nonce = claim.nonce;
        writer.append(&OutgoingRecord::Claim(claim), Ticket::CLAIM)?;
        let epoch = offset_of(shard, reports.recv().await, Ticket::CLAIM)?;
        let place = Place { epoch, claim: nonce, seq: 0, index: 0, count: 1 };
        let shards = usize::try_from(log.shard_count()).unwrap_or(usize::MAX).max(1);
        Ok(Self {
            shard,
            writer,
            reports,
            place,
            end: epoch + 1,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            in_flight_bytes_max: IN_FLIGHT_BYTES_MAX / shards,
        })
    }

    pub(super) const fn epoch(&self) -> Offset {
        self.place.epoch
    }

    /// After the last record.
    pub(super) const fn end(&self) -> Offset {
        self.end
    }

    pub(super) const fn go_on_after(&mut self, last_seq: u64) {
        self.place.seq = last_seq;
    }

    /// Appends the next commit and tells its place. Waits while enough is under way.
    pub(super) async fn commit(&mut self, body: CommitBody) -> Result<Place, ReshardError> {
        self.place.seq += 1;
        match placed(body, self.place) {
            CommitBody::Events(events) => {
                for event in events {
                    let (index, bytes) = (event.place.index, bytes(&event));
                    self.append(&OutgoingRecord::Event(Box::new(event)), index, bytes).await?;
                }
            }
            CommitBody::Barrier(barrier) => {
                let bytes = barrier.outcomes.len() * OUTCOME_BYTES;
                self.append(&OutgoingRecord::Barrier(barrier), 0, bytes).await?;
            }
        }
        Ok(self.place)
    }

    /// Waits until all of it is in the log.
    pub(super) async fn settle(&mut self) -> Result<(), ReshardError> {
        while !self.in_flight.is_empty() {
            self.take_report().await?;
        }
        Ok(())
    }

    async fn append(
        &mut self,
        record: &OutgoingRecord,
        index: u32,
        bytes: usize,
    ) -> Result<(), ReshardError> {
        while self.in_flight.len() >= IN_FLIGHT_MAX
            || self.in_flight_bytes > self.in_flight_bytes_max
        {
            self.take_report().await?;
        }
        let ticket = Ticket { epoch: self.place.epoch, seq: self.place.seq, index };
        while let Err(error) = self.writer.append(record, ticket) {
            let is_full = matches!(error, AppendError::QueueFull);
            if !is_full || self.in_flight.is_empty() {
                return Err(error.into());
            }
            self.take_report().await?;
        }
        self.in_flight.push_back(InFlight { ticket, offset: self.end, bytes });
        self.in_flight_bytes += bytes;
        self.end += 1;
        Ok(())
    }

    async fn take_report(&mut self) -> Result<(), ReshardError> {
        let report = self.reports.recv().await;
        let Some(InFlight { ticket, offset, bytes }) = self.in_flight.pop_front() else {
            return Ok(());
        };
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
        if offset_of(self.shard, report, ticket)? == offset {
            Ok(())
        } else {
            Err(ReshardError::TargetMoved { shard: self.shard })
        }
    }
}

/// About what an outcome takes in memory.
const OUTCOME_BYTES: usize = 400;

fn offset_of(shard: ShardId, report: Option<Report>, due: Ticket) -> Result<Offset, ReshardError> {
    let in_doubt = |reason: &str| ReshardError::InDoubt { shard, reason: reason.to_owned() };
    match report {
        Some(Report { ticket, result: Ok(Some(offset)) }) if ticket == due => Ok(offset),
        Some(Report { result: Err(error), .. }) => Err(in_doubt(&error.to_string())),
        Some(_) => Err(in_doubt("the producer was not told where it stands")),
        None => Err(in_doubt("the producer ended")),
    }
}
