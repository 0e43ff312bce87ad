//! Writes events to a log as the owner of a shard does, without an engine: long histories, and what
//! no engine writes.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use domain::{
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
    shard::ShardId,
    timestamp::Timestamp,
};
use infra::{
    clock::Clock,
    log::{
        AppendError, ClaimInfo, ClaimRecord, EventLog, EventRecord, LogWriter, Nonce,
        OutgoingRecord, Place, Report, RequestHash, Ticket, follow::Follower,
    },
};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The owner of a shard until somebody else claims it.
pub struct Writing {
    writer: Box<dyn LogWriter>,
    reports: mpsc::Receiver<Report>,
    under_way: u64,
    epoch: i64,
    claim: Nonce,
}

impl Writing {
    /// Claims the shard.
    ///
    /// # Errors
    /// If the log does not take the claim.
    pub async fn open(log: &dyn EventLog, shard: ShardId) -> Result<Self> {
        let (writer, reports) = log.open_writer(shard).await?;
        let claim = Nonce::random();
        let mut writing = Self { writer, reports, under_way: 0, epoch: -1, claim };
        let info = ClaimInfo {
            node: "tests".to_owned(),
            url: "http://127.0.0.1".to_owned(),
            started_at: Clock::System.now(),
            software: "tests".to_owned(),
        };
        let record = OutgoingRecord::Claim(ClaimRecord { nonce: claim, info });
        writing.writer.append(&record, Ticket::CLAIM)?;
        writing.under_way += 1;
        writing.epoch = writing.report().await?;
        Ok(writing)
    }

    /// Appends a commit of one event, which is the `seq`-th of its shard.
    ///
    /// # Errors
    /// If a record of before is not in the log, or this one cannot be sent.
    pub async fn append(
        &mut self,
        stream: StreamId,
        revision: u64,
        seq: u64,
        recorded_at: Timestamp,
        event_type: Arc<str>,
        value: Bytes,
    ) -> Result<()> {
        let id = Uuid::new_v4();
        let (epoch, claim) = (self.epoch, self.claim);
        let record = OutgoingRecord::Event(Box::new(EventRecord {
            place: Place { epoch, claim, seq, index: 0, count: 1 },
            id: EventId::new(CommandId::new(id).derive("0")),
            event_type,
            stream,
            revision,
            recorded_at,
            provenance: Provenance {
                command_id: CommandId::new(id),
                correlation_id: CorrelationId::new(id),
                causation_id: CausationId::new(id),
                actor: "tests".into(),
                traceparent: None,
            },
            request_hash: Some(RequestHash::of(&[id.as_bytes()])),
            value,
        }));
        loop {
            match self.writer.append(&record, Ticket { epoch, seq, index: 0 }) {
                Ok(()) => break,
                Err(AppendError::QueueFull) => self.report().await.map(drop)?,
                Err(error) => return Err(error.into()),
            }
        }
        self.under_way += 1;
        while let Ok(report) = self.reports.try_recv() {
            self.take(&report)?;
        }
        Ok(())
    }

    /// Until all of it is in the log.
    ///
    /// # Errors
    /// If a record is not.
    pub async fn finish(mut self) -> Result<()> {
        while self.under_way > 0 {
            self.report().await?;
        }
        Ok(())
    }

    /// The number of the last commit before the claim.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn last_seq(&self, log: &dyn EventLog, shard: ShardId) -> Result<u64> {
        let mut follower = Follower::open(log, shard, None).await?;
        while follower.next_offset() <= self.epoch {
            follower.next(1_000).await?;
        }
        Ok(follower.checkpoint().last_seq)
    }

    async fn report(&mut self) -> Result<i64> {
        let report = self.reports.recv().await.context("the writer ended")?;
        self.take(&report)
    }

    /// A history with a hole in it is none.
    fn take(&mut self, report: &Report) -> Result<i64> {
        self.under_way -= 1;
        match &report.result {
            Ok(Some(offset)) => Ok(*offset),
            other => bail!("a record is in doubt: {other:?}"),
        }
    }
}
