//! Domain events to bytes and back.
//!
//! The domain's serde form is `{"type": "...", "data": {...}}`. The log keeps the two apart: the
//! type becomes `tradewind.<stream type>.<type>.v<version>` in a header, the data is the record's
//! value. Both ways go straight between text and types, with no tree of JSON in between.
//!
//! **Invariant:** writers write the newest version of a type only; the upcasting chain lifts what
//! older releases wrote.

mod tagged;

use std::sync::Arc;

use bytes::Bytes;
use domain::{Event, StreamType, envelope::Recorded, id::StreamId, upcast};
use serde::de::DeserializeSeed;

use crate::log::record::EventRecord;

#[cfg(test)]
mod tests;

/// What the serde form of an event begins with, up to its type, and what stands before its data.
const BEFORE_TYPE: &[u8] = br#"{"type":""#;
const BEFORE_DATA: &[u8] = br#"","data":"#;

/// The record is one of ours, and yet no event of the domain can be made of it.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer release, or by nobody that we know.
    #[error("this release knows no event type {0:?}")]
    UnknownType(Arc<str>),
    #[error("an event of type {event_type:?} stands in stream {stream}")]
    WrongStream { event_type: Arc<str>, stream: StreamId },
    #[error("an event of type {event_type:?} cannot be read")]
    Malformed {
        event_type: Arc<str>,
        #[source]
        source: serde_json::Error,
    },
}

/// The type and the value of an event's record.
#[must_use]
pub fn encode(event: &Event) -> (Arc<str>, Bytes) {
    #[expect(
        clippy::expect_used,
        reason = "events hold nothing that JSON cannot, and tests say so"
    )]
    let text = serde_json::to_vec(event).expect("an event has a JSON form");
    let (name, data_start) = type_of(&text);
    let kind = event.stream_type();
    let (stream, version) = (kind.as_str(), upcast::newest(kind.upcasts(), name));
    let event_type = format!("tradewind.{stream}.{name}.v{version}").into();
    let data_end = text.len() - 1;
    (event_type, Bytes::from(text).slice(data_start..data_end))
}

/// Why a record must not be appended.
#[derive(Debug, thiserror::Error)]
pub enum NotReadable {
    #[error("its stream {0:?} cannot be read back")]
    Stream(StreamId),
    #[error(transparent)]
    Event(#[from] DecodeError),
    #[error("an event of type {0:?} is read back as another")]
    Differs(Arc<str>),
}

/// Reads a record that is about to be appended as everybody will, for ever: what is in the log cannot
/// be taken back, and a stream with an event that nobody can read is lost.
///
/// # Errors
/// The record tells readers something else than the event, or nothing.
pub fn read_back(record: &EventRecord, event: &Event) -> Result<(), NotReadable> {
    if record.stream.as_str().parse().ok().as_ref() != Some(&record.stream) {
        return Err(NotReadable::Stream(record.stream.clone()));
    }
    if decode(record)? != *event {
        return Err(NotReadable::Differs(Arc::clone(&record.event_type)));
    }
    Ok(())
}

/// The domain event of a record.
///
/// # Errors
/// There is none.
pub fn decode(record: &EventRecord) -> Result<Event, DecodeError> {
    decode_value(&record.event_type, &record.stream, &record.value)
}

/// The domain event of a value that stands, or could stand, in a record of this type and stream.
///
/// # Errors
/// There is none.
pub fn decode_value(
    event_type: &Arc<str>,
    stream: &StreamId,
    value: &[u8],
) -> Result<Event, DecodeError> {
    let unknown = || DecodeError::UnknownType(Arc::clone(event_type));
    let malformed = |source| DecodeError::Malformed { event_type: Arc::clone(event_type), source };
    let EventType { kind, name, version } = EventType::parse(event_type).ok_or_else(unknown)?;
    if Some(kind) != stream.stream_type() {
        let (event_type, stream) = (Arc::clone(event_type), stream.clone());
        return Err(DecodeError::WrongStream { event_type, stream });
    }
    match upcast::newest(kind.upcasts(), name) {
        newest if version == newest => read(kind, name, value),
        newest if version > newest => return Err(unknown()),
        _ => lift(kind, name, version, value).and_then(|lifted| read(kind, name, &lifted)),
    }
    .map_err(malformed)
}

/// The domain event of a record and what surrounds it.
///
/// # Errors
/// There is no such event.
pub fn recorded(record: &EventRecord) -> Result<Recorded, DecodeError> {
    Ok(Recorded {
        id: record.id,
        stream: record.stream.clone(),
        revision: record.revision,
        recorded_at: record.recorded_at,
        provenance: record.provenance.clone(),
        event: decode(record)?,
    })
}

/// The type and the data of a record as today's release would write them; as they are, where that is no
/// older type of ours.
#[must_use]
pub fn newest(event_type: &Arc<str>, value: &Bytes) -> (Arc<str>, Bytes) {
    let as_it_is = || (Arc::clone(event_type), value.clone());
    let Some(EventType { kind, name, version }) = EventType::parse(event_type) else {
        return as_it_is();
    };
    let newest = upcast::newest(kind.upcasts(), name);
    if version >= newest {
        return as_it_is();
    }
    match lift(kind, name, version, value) {
        Ok(lifted) => {
            let event_type = format!("tradewind.{}.{name}.v{newest}", kind.as_str());
            (event_type.into(), lifted.into())
        }
        Err(_) => as_it_is(),
    }
}

/// What an older release wrote, as today's would.
fn lift(
    kind: StreamType,
    name: &str,
    version: u32,
    data: &[u8],
) -> Result<Vec<u8>, serde_json::Error> {
    let data = serde_json::from_slice(data)?;
    serde_json::to_vec(&upcast::lift(kind.upcasts(), name, version, data))
}

/// What the domain calls an event of this type, whatever its version; `None` if it is no type of ours.
#[must_use]
pub fn event_name(event_type: &str) -> Option<&str> {
    EventType::parse(event_type).map(|event_type| event_type.name)
}

/// `order.placed` of `tradewind.order.placed.v1`.
#[must_use]
pub fn short_name(event_type: &str) -> Option<&str> {
    let EventType { .. } = EventType::parse(event_type)?;
    Some(event_type.strip_prefix("tradewind.")?.rsplit_once(".v")?.0)
}

fn read(kind: StreamType, name: &str, data: &[u8]) -> Result<Event, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(data);
    let event = kind.deserialize(tagged::tagged(name, &mut json))?;
    json.end()?;
    Ok(event)
}

/// `tradewind.<kind>.<name>.v<version>`, taken apart.
struct EventType<'a> {
    kind: StreamType,
    name: &'a str,
    version: u32,
}

impl<'a> EventType<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.strip_prefix("tradewind.")?.split_once('.')?;
        let (name, version) = rest.rsplit_once(".v")?;
        let canonical = !version.starts_with(['0', '+']);
        let version = version.parse().ok().filter(|_| canonical)?;
        Some(Self { kind: StreamType::parse(kind)?, name, version })
    }
}

/// The type in the serde form of an event, and where its data begins.
fn type_of(text: &[u8]) -> (&str, usize) {
    let name_start = BEFORE_TYPE.len();
    let rest = text.get(name_start..).unwrap_or_default();
    // Types are snake-case names of variants, so the next quote ends it.
    let length = rest.iter().position(|&byte| byte == b'"').unwrap_or_default();
    let name = rest.get(..length).and_then(|name| std::str::from_utf8(name).ok());
    debug_assert!(text.starts_with(BEFORE_TYPE), "an event's form begins with its type");
    debug_assert!(rest[length..].starts_with(BEFORE_DATA), "and goes on with its data");
    (name.unwrap_or_default(), name_start + length + BEFORE_DATA.len())
}
