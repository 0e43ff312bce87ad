//! A log in memory that behaves like the real one, for tests and simulations.
//!
//! Records take the same form as on Kafka, and tests may append any [`RawRecord`]:
//! foreign ones, stale ones, ones of tomorrow.

use std::{borrow::Cow, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{StreamType, shard::ShardId};
use tokio::sync::{mpsc, watch};

use super::{
    AppendError, EventLog, LogReader, LogWriter, Offset, OpenError, Opened, Prefetch, ReadError,
    Report, Ticket,
    record::{Body, LogRecord, OutgoingRecord},
    wire::{self, Decoder, Raw},
};

/// Reports that wait to be taken; beyond it the queue counts as full.
const REPORTS_MAX: usize = 16_384;

/// Clones share the records.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    shards: Arc<[Shard]>,
}

/// All records of a shard; the channel wakes those who wait for more.
type Shard = watch::Sender<Vec<RawRecord>>;

/// A record as any Kafka client may write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRecord {
    pub key: Option<Bytes>,
    pub headers: Vec<(Cow<'static, str>, Bytes)>,
    pub value: Option<Bytes>,
}

impl RawRecord {
    /// What a writer makes of a record.
    ///
    /// # Errors
    /// The data have no JSON form.
    pub fn of(record: &OutgoingRecord) -> Result<Self, serde_json::Error> {
        let mut value = Vec::new();
        let key = wire::encode(record, &mut value)?;
        Ok(Self::structured(key, &value))
    }

    /// What says of itself that it is a CloudEvent in structured mode.
    #[must_use]
    pub fn structured(key: &[u8], envelope: &[u8]) -> Self {
        let (name, content_type) = wire::CONTENT_TYPE;
        Self {
            key: Some(Bytes::copy_from_slice(key)),
            headers: vec![(Cow::Borrowed(name), Bytes::from_static(content_type))],
            value: Some(Bytes::copy_from_slice(envelope)),
        }
    }

    /// What a reader makes of it.
    ///
    /// # Errors
    /// The version, where it is another one.
    pub fn decode(&self) -> Result<Body, u64> {
        let decoded = Decoder::default().decode(&self.borrow());
        decoded.map_err(|wire::UnsupportedVersion(version)| version)
    }

    fn borrow(&self) -> Raw<'_> {
        let headers = self.headers.iter().map(|(name, value)| (&**name, Some(&**value)));
        Raw::new(self.key.as_deref(), self.value.as_deref(), headers)
    }
}

impl MemoryLog {
    #[must_use]
    pub fn new(shards: u32) -> Self {
        Self { shards: (0..shards).map(|_| watch::Sender::default()).collect() }
    }

    /// Appends past all writers. `None` if there is no such shard.
    pub fn append_raw(&self, shard: ShardId, record: RawRecord) -> Option<Offset> {
        push(self.shard(shard)?, record).into()
    }

    fn shard(&self, shard: ShardId) -> Option<&Shard> {
        self.shards.get(usize::try_from(shard.index()).ok()?)
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn shard_count(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }

    async fn open_writer(&self, shard: ShardId) -> Result<Opened, OpenError> {
        let shard = self.shard(shard).ok_or(OpenError::NoSuchShard(shard))?.clone();
        let (reports, received) = mpsc::channel(REPORTS_MAX);
        Ok((Box::new(MemoryWriter { shard, reports }), received))
    }

    async fn open_reader(
        &self,
        shard: ShardId,
        from: Offset,
        _: Prefetch,
    ) -> Result<Box<dyn LogReader>, ReadError> {
        let records = self.shard(shard).ok_or(ReadError::NoSuchShard(shard))?.subscribe();
        Ok(Box::new(MemoryReader { records, next: from, decoder: Decoder::default() }))
    }

    async fn range(&self, shard: ShardId) -> Result<Range<Offset>, ReadError> {
        let shard = self.shard(shard).ok_or(ReadError::NoSuchShard(shard))?;
        Ok(0..to_offset(shard.borrow().len()))
    }
}

struct MemoryWriter {
    shard: Shard,
    reports: mpsc::Sender<Report>,
}

impl LogWriter for MemoryWriter {
    fn append(&mut self, record: &OutgoingRecord, ticket: Ticket) -> Result<(), AppendError> {
        let raw = RawRecord::of(record).map_err(|error| AppendError::Fatal(error.into()))?;
        match self.reports.try_reserve() {
            Ok(permit) => {
                let offset = push(&self.shard, raw);
                permit.send(Report { ticket, result: Ok(Some(offset)) });
            }
            // Nobody listens any more, which keeps no record out of the log.
            Err(mpsc::error::TrySendError::Closed(())) => {
                push(&self.shard, raw);
            }
            Err(mpsc::error::TrySendError::Full(())) => return Err(AppendError::QueueFull),
        }
        Ok(())
    }
}

struct MemoryReader {
    records: watch::Receiver<Vec<RawRecord>>,
    next: Offset,
    decoder: Decoder,
}

#[async_trait]
impl LogReader for MemoryReader {
    async fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<LogRecord>, ReadError> {
        let out_of_range = || ReadError::OutOfRange { offset: self.next };
        let next = usize::try_from(self.next).map_err(|_negative| out_of_range())?;
        if next > self.records.borrow().len() {
            return Err(out_of_range());
        }
        let more = self.records.wait_for(|records| records.len() > next);
        let Ok(Ok(records)) = tokio::time::timeout(wait, more).await else {
            return Ok(Vec::new());
        };
        let mut read = Vec::new();
        for raw in records.iter().skip(next).take(max) {
            let offset = self.next;
            match self.decoder.decode(&raw.borrow()) {
                Ok(body) => read.push(LogRecord { offset, body }),
                Err(_) if !read.is_empty() => break,
                Err(wire::UnsupportedVersion(version)) => {
                    return Err(ReadError::UnsupportedVersion { offset, version });
                }
            }
            self.next += 1;
        }
        Ok(read)
    }

    fn want_only(&mut self, types: &[StreamType]) {
        self.decoder.want_only(types);
    }
}

fn push(shard: &Shard, record: RawRecord) -> Offset {
    let mut offset = 0;
    shard.send_modify(|records| {
        offset = to_offset(records.len());
        records.push(record);
    });
    offset
}

fn to_offset(length: usize) -> Offset {
    Offset::try_from(length).unwrap_or(Offset::MAX)
}

#[cfg(test)]
mod tests;
