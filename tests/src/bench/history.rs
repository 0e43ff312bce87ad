//! A log that many stocks have a history in, appended through the log's own writers as fast as it
//! takes it, without an engine.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use domain::{
    Event,
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, Sku, StreamId},
    shard::{ShardId, shard_of},
    stock,
    timestamp::Timestamp,
};
use infra::{
    clock::Clock,
    codec,
    log::{
        AppendError, ClaimInfo, ClaimRecord, EventLog, EventRecord, LogWriter, Nonce,
        OutgoingRecord, Place, Report, RequestHash, Ticket,
    },
};
use tokio::sync::mpsc;
use uuid::Uuid;

/// What the history reaches over. All but the last day of it is of no use to the dedup table.
const REACH: Duration = Duration::from_hours(30 * 24);

/// Events are spread evenly over aggregates and time; each is a commit of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct History {
    pub(super) aggregates: u32,
    pub(super) events: u32,
}

pub(super) fn stream(index: u32) -> Result<StreamId> {
    Ok(sku(index)?.stock_stream())
}

pub(super) fn sku(index: u32) -> Result<Sku> {
    Ok(format!("history-{index}").parse()?)
}

impl History {
    pub(super) async fn append(self, log: &dyn EventLog) -> Result<()> {
        let shard_count = log.shard_count();
        let mut streams = vec![Vec::new(); usize::try_from(shard_count)?];
        for index in 0..self.aggregates {
            let stream = stream(index)?;
            let shard = usize::try_from(shard_of(&stream, shard_count).index())?;
            streams.get_mut(shard).context("a shard of the log")?.push(stream);
        }
        for (shard, streams) in (0..).map(ShardId::new).zip(streams) {
            let share = u64::from(self.events) * u64::try_from(streams.len())?;
            let events = share / u64::from(self.aggregates);
            self.append_shard(log, shard, &streams, events).await?;
        }
        Ok(())
    }

    async fn append_shard(
        self,
        log: &dyn EventLog,
        shard: ShardId,
        streams: &[StreamId],
        events: u64,
    ) -> Result<()> {
        let mut shard = Writing::open(log, shard).await?;
        let start = Clock::System.now().minus(REACH);
        let event = Event::Stock(stock::Event::Received { quantity: 1, reference: None });
        let (event_type, value) = codec::encode(&event);
        for seq in 1..=events {
            let turn = usize::try_from((seq - 1) % u64::try_from(streams.len())?)?;
            let stream = streams.get(turn).context("a stream")?.clone();
            let revision = 1 + (seq - 1) / u64::try_from(streams.len())?;
            let passed = REACH.as_secs_f64() * as_part(seq, events);
            let recorded_at = start.plus(Duration::from_secs_f64(passed));
            let value: Bytes = value.clone();
            let event_type = event_type.clone();
            shard.append(stream, revision, seq, recorded_at, event_type, value).await?;
        }
        shard.finish().await
    }
}

#[expect(clippy::cast_precision_loss, reason = "a moment in a made-up history")]
fn as_part(seq: u64, events: u64) -> f64 {
    seq as f64 / events as f64
}

pub(super) struct Writing {
    writer: Box<dyn LogWriter>,
    reports: mpsc::Receiver<Report>,
    under_way: u64,
    epoch: i64,
    claim: Nonce,
}

impl Writing {
    pub(super) async fn open(log: &dyn EventLog, shard: ShardId) -> Result<Self> {
        let (writer, reports) = log.open_writer(shard).await?;
        let claim = Nonce::random();
        let mut writing = Self { writer, reports, under_way: 0, epoch: -1, claim };
        let info = ClaimInfo {
            node: "bench".to_owned(),
            url: "http://localhost".to_owned(),
            started_at: Clock::System.now(),
            software: "bench".to_owned(),
        };
        let record = OutgoingRecord::Claim(ClaimRecord { nonce: claim, info });
        writing.writer.append(&record, Ticket::CLAIM)?;
        writing.under_way += 1;
        writing.epoch = writing.report().await?;
        Ok(writing)
    }

    pub(super) async fn append(
        &mut self,
        stream: StreamId,
        revision: u64,
        seq: u64,
        recorded_at: Timestamp,
        event_type: std::sync::Arc<str>,
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
                actor: "bench".into(),
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

    pub(super) async fn finish(mut self) -> Result<()> {
        while self.under_way > 0 {
            self.report().await?;
        }
        Ok(())
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
            other => bail!("a record of the history is in doubt: {other:?}"),
        }
    }
}
