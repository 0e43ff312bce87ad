//! A commit of the log, decoded once for all projections of its shard, and its events as a projection reads
//! them.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
    timestamp::Timestamp,
};
use infra::{
    codec,
    log::{self, Checkpoint, CommitBody, EventRecord, LogId, Offset},
    telemetry::chain,
};
use read_models::{Entry, Place};
use uuid::Uuid;

/// What a projection takes over whole or not at all.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    /// Where a reader stands that has taken this commit.
    pub checkpoint: Checkpoint,
    pub recorded_at: DateTime<Utc>,
    /// Empty for a barrier.
    pub events: Vec<RecordedEvent>,
}

/// An event of the log; `decoded` has the reason if this release cannot read it.
#[derive(Clone, Debug)]
pub(crate) struct RecordedEvent {
    pub id: EventId,
    pub stream: StreamId,
    pub revision: i64,
    pub recorded_at: DateTime<Utc>,
    /// As it stands in the log, for whoever has to put it aside.
    pub event_type: Arc<str>,
    pub value: Bytes,
    pub origin: Origin,
    pub decoded: Result<domain::Event, Arc<str>>,
}

/// Where an event stands in the log of its shard, and who caused it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The offset after its commit.
    pub commit_end: Offset,
    pub seq: u64,
    pub index: u32,
    pub provenance: Provenance,
}

/// An event as a projection reads it, after what operators have decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CorrectedEvent<'f> {
    pub event: &'f RecordedEvent,
    /// Its data, or what an operator has put in their place.
    pub value: &'f Bytes,
    /// What it reads as, or why this release cannot read it.
    pub decoded: &'f Result<domain::Event, Arc<str>>,
    /// The event before it in its stream is skipped, so the row may be further back.
    pub after_skipped: bool,
}

impl Commit {
    /// With those of its events that are wanted.
    #[must_use]
    pub(crate) fn decode(
        log_id: Option<LogId>,
        commit: &log::Commit,
        wants: impl Fn(&EventRecord) -> bool,
    ) -> Self {
        let (claim, recorded_at, events) = match &commit.body {
            CommitBody::Events(records) => {
                let last = records.last();
                // Of its very size: most commits have one event, and there are many of them.
                let mut events = Vec::with_capacity(records.iter().filter(|it| wants(it)).count());
                let decode = |it| RecordedEvent::decode(it, commit.next_offset);
                events.extend(records.iter().filter(|it| wants(it)).map(decode));
                (
                    last.map(|record| record.place.claim),
                    last.map_or_else(Timestamp::default, |record| record.recorded_at),
                    events,
                )
            }
            CommitBody::Barrier(barrier) => {
                (Some(barrier.place.claim), barrier.recorded_at, Vec::new())
            }
        };
        let (epoch, next_offset) = (commit.epoch, commit.next_offset);
        Self {
            checkpoint: Checkpoint { log_id, next_offset, epoch, claim, last_seq: commit.seq },
            recorded_at: recorded_at.to_datetime(),
            events,
        }
    }
}

impl RecordedEvent {
    /// For people who look for it.
    #[must_use]
    pub(crate) fn describe(&self) -> String {
        format!("event {} ({}, revision {})", self.id, self.stream, self.revision)
    }

    /// Nobody has decided anything about it.
    pub(crate) fn as_recorded(&self) -> CorrectedEvent<'_> {
        let (value, decoded) = (&self.value, &self.decoded);
        CorrectedEvent { event: self, value, decoded, after_skipped: false }
    }

    fn decode(record: &EventRecord, commit_end: Offset) -> Self {
        Self {
            id: record.id,
            stream: record.stream.clone(),
            // Revisions are counted one by one; 63 bits of them outlast the log.
            revision: i64::try_from(record.revision).unwrap_or(i64::MAX),
            recorded_at: record.recorded_at.to_datetime(),
            event_type: Arc::clone(&record.event_type),
            value: record.value.clone(),
            origin: Origin {
                commit_end,
                seq: record.place.seq,
                index: record.place.index,
                provenance: record.provenance.clone(),
            },
            decoded: decode(&record.event_type, &record.stream, &record.value),
        }
    }
}

impl Origin {
    /// Of an event of which nobody has noted it.
    #[must_use]
    pub(crate) fn none() -> Self {
        let nil = Uuid::nil();
        let provenance = Provenance {
            command_id: CommandId::new(nil),
            correlation_id: CorrelationId::new(nil),
            causation_id: CausationId::new(nil),
            actor: "".into(),
            traceparent: None,
        };
        Self { commit_end: 0, seq: 0, index: 0, provenance }
    }
}

impl CorrectedEvent<'_> {
    /// The event as it is kept for itself.
    #[must_use]
    pub(crate) fn entry(&self, shard: i32) -> Entry {
        let RecordedEvent { id, stream, revision, recorded_at, event_type, origin, .. } =
            self.event;
        let Origin { commit_end, seq, index, provenance } = origin;
        Entry {
            id: *id,
            stream: stream.clone(),
            revision: *revision,
            recorded_at: *recorded_at,
            event_type: Arc::clone(event_type),
            data: self.value.clone(),
            place: Place {
                shard,
                next_offset: *commit_end,
                // Like revisions, counted one by one.
                seq: i64::try_from(*seq).unwrap_or(i64::MAX),
                index: i32::try_from(*index).unwrap_or(i32::MAX),
            },
            provenance: provenance.clone(),
        }
    }
}

/// The event that a value stands for, or why there is none.
pub(crate) fn decode(
    event_type: &Arc<str>,
    stream: &StreamId,
    value: &[u8],
) -> Result<domain::Event, Arc<str>> {
    codec::decode_value(event_type, stream, value).map_err(|error| chain(&error).to_string().into())
}

#[cfg(test)]
impl RecordedEvent {
    /// An event as it would be read from the log.
    pub(crate) fn sample(stream: &str, revision: i64, kind: &str, value: &'static str) -> Self {
        let stream: StreamId = stream.parse().expect("a stream id");
        let (stream_type, _) = stream.as_str().split_once('/').expect("a type and a key");
        let event_type = format!("tradewind.{stream_type}.{kind}.v1").into();
        let name = format!("{stream}/{revision}");
        Self {
            id: EventId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())),
            decoded: decode(&event_type, &stream, value.as_bytes()),
            stream,
            revision,
            recorded_at: "2026-01-31T12:00:00Z".parse().expect("a time"),
            event_type,
            value: value.into(),
            origin: Origin::none(),
        }
    }
}
