//! Writes to a log as the owner of a shard does, without an engine: long histories, and what no
//! engine writes.

use domain::shard::ShardId;
use tokio::sync::mpsc;

use super::{
    AppendError, EventLog, EventRecord, LogWriter, Nonce, Offset, OpenError, OutgoingRecord, Place,
    ReadError, Report, Ticket, follow::Follower, sample,
};

/// The owner of a shard until somebody else claims it.
pub struct Owner {
    writer: Box<dyn LogWriter>,
    reports: mpsc::Receiver<Report>,
    /// Of the last commit.
    place: Place,
    end: Offset,
    under_way: u64,
}

/// A history with a hole in it is none.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("a record is in doubt: {0:?}")]
    InDoubt(Option<Report>),
}

impl Owner {
    /// Claims the shard and goes on after the last commit in it.
    ///
    /// # Errors
    /// The log does not take the claim, or cannot be read.
    pub async fn claim(log: &dyn EventLog, shard: ShardId) -> Result<Self, OwnerError> {
        let (writer, reports) = log.open_writer(shard).await?;
        let claim = sample::claim(Nonce::random());
        let place = Place { epoch: -1, claim: claim.nonce, ..sample::PLACE };
        let mut owner = Self { writer, reports, place, end: 0, under_way: 0 };
        owner.send(&OutgoingRecord::Claim(claim), Ticket::CLAIM).await?;
        let epoch = owner.report().await?;
        let mut follower = Follower::open(log, shard, None).await?;
        while follower.next_offset() <= epoch {
            follower.next(1_000).await?;
        }
        owner.end = epoch + 1;
        owner.place = Place { epoch, seq: follower.checkpoint().last_seq, ..place };
        Ok(owner)
    }

    /// Appends events as one commit, wherever they say that they stand, and tells the offset after
    /// it unless others write, too. Waits for nothing while there is room.
    ///
    /// # Errors
    /// A record cannot be sent, or one of before is not in the log.
    pub async fn commit(&mut self, events: Vec<EventRecord>) -> Result<Offset, OwnerError> {
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let command = events.first().map(|first| first.provenance.clone());
        self.place.seq += 1;
        for (index, event) in (0..).zip(events) {
            let place = Place { index, count, ..self.place };
            let provenance = command.clone().unwrap_or_else(|| event.provenance.clone());
            let request_hash = event.request_hash.filter(|_| index == 0);
            let event = EventRecord { place, provenance, request_hash, ..event };
            self.append(&OutgoingRecord::Event(Box::new(event)), index).await?;
        }
        Ok(self.end)
    }

    /// Appends a commit that changes nothing.
    ///
    /// # Errors
    /// As [`Owner::commit`].
    pub async fn barrier(&mut self) -> Result<Offset, OwnerError> {
        self.place.seq += 1;
        let barrier = sample::barrier(Place { index: 0, count: 1, ..self.place });
        self.append(&OutgoingRecord::Barrier(barrier), 0).await?;
        Ok(self.end)
    }

    /// Until all of it is in the log.
    ///
    /// # Errors
    /// A record is not.
    pub async fn finish(mut self) -> Result<(), OwnerError> {
        while self.under_way > 0 {
            self.report().await?;
        }
        Ok(())
    }

    async fn append(&mut self, record: &OutgoingRecord, index: u32) -> Result<(), OwnerError> {
        let Place { epoch, seq, .. } = self.place;
        self.send(record, Ticket { epoch, seq, index }).await?;
        self.end += 1;
        while let Ok(report) = self.reports.try_recv() {
            self.take(Some(report))?;
        }
        Ok(())
    }

    async fn send(&mut self, record: &OutgoingRecord, ticket: Ticket) -> Result<(), OwnerError> {
        while let Err(error) = self.writer.append(record, ticket) {
            if !matches!(error, AppendError::QueueFull) {
                return Err(error.into());
            }
            self.report().await?;
        }
        self.under_way += 1;
        Ok(())
    }

    async fn report(&mut self) -> Result<Offset, OwnerError> {
        let report = self.reports.recv().await;
        self.take(report)
    }

    fn take(&mut self, report: Option<Report>) -> Result<Offset, OwnerError> {
        self.under_way -= 1;
        match report {
            Some(Report { result: Ok(Some(offset)), .. }) => Ok(offset),
            other => Err(OwnerError::InDoubt(other)),
        }
    }
}
