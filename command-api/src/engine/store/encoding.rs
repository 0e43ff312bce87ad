//! What is stored, in bytes.
//!
//! States and outcomes are MessagePack, states with the names of their fields: the domain leaves
//! out fields that are empty, which a form without names could not read back.
//!
//! **Invariant:** the order of encoded deadlines is that of the deadlines.

use std::sync::Arc;

use domain::{
    State,
    id::{CommandId, EventId, StreamId},
    timestamp::Timestamp,
};
use infra::log::{BoxError, Checkpoint, RequestHash};
use serde::{Deserialize, Serialize};

use super::{
    super::{EventRef, Outcome, Snapshot},
    header::Header,
    state_store::{Deadline, Known, Remembered, StoredState, Unread, UnreadEvent},
};

/// Stands where a readable state has its revision, which never comes that far.
const UNREAD: [u8; 8] = [u8::MAX; 8];

/// The revision, then the state.
pub(super) fn state(Snapshot { state, revision }: &Snapshot) -> Result<Vec<u8>, BoxError> {
    let mut bytes = revision.to_be_bytes().to_vec();
    rmp_serde::encode::write_named(&mut bytes, state)?;
    Ok(bytes)
}

/// For a stream that cannot be read: the first event that could not be, or nothing.
pub(super) fn unread(why: &Unread) -> Vec<u8> {
    let Unread::Event(event) = why else { return Vec::new() };
    let event_type = event.event_type.as_bytes();
    let length = u32::try_from(event_type.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&UNREAD[..], &length, event_type, &event.value].concat()
}

/// Whether a stored state is that of a stream that cannot be read, without decoding it.
pub(super) fn is_unread(state: &[u8]) -> bool {
    state.is_empty() || state.starts_with(&UNREAD)
}

pub(super) fn read_state(bytes: &[u8]) -> StoredState {
    let snapshot = match bytes.split_first_chunk() {
        Some((&UNREAD, event)) => Err(read_unread(event)),
        Some((revision, state)) => match rmp_serde::from_slice::<State>(state) {
            Ok(state) => Ok(Snapshot { state, revision: u64::from_be_bytes(*revision) }),
            Err(error) => Err(Unread::Entry(error.to_string().into())),
        },
        None if bytes.is_empty() => Err(Unread::Unknown),
        None => Err(Unread::Entry("it is cut off".into())),
    };
    StoredState { snapshot, bytes: bytes.len() }
}

fn read_unread(bytes: &[u8]) -> Unread {
    let split = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (event_type, value) = rest.split_at_checked(length)?;
        let event_type = std::str::from_utf8(event_type).ok()?.into();
        Some(UnreadEvent { event_type, value: value.to_vec() })
    };
    split().map_or(Unread::Unknown, |event| Unread::Event(Arc::new(event)))
}

/// When it was recorded comes first, for whoever only wants to know its age.
pub(super) fn outcome(known: &Known) -> Result<Vec<u8>, BoxError> {
    let mut bytes = outcome_head(known);
    rmp_serde::encode::write(&mut bytes, &StoredOutcome::of(&known.outcome))?;
    Ok(bytes)
}

/// All but the outcome itself: there is one, and no more is known.
pub(super) fn outcome_head(known: &Known) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    bytes.extend(known.recorded_at.as_micros().to_be_bytes());
    bytes.extend(known.next_offset.to_be_bytes());
    bytes.extend(known.request_hash.0);
    bytes
}

pub(super) fn read_outcome(bytes: &[u8]) -> Remembered {
    match read_known(bytes) {
        Ok(known) => Remembered::Known(known),
        Err(error) => {
            Remembered::Unreadable { recorded_at: recorded_at(bytes), detail: error.to_string() }
        }
    }
}

fn read_known(bytes: &[u8]) -> Result<Known, BoxError> {
    let cut_off = || BoxError::from("a stored outcome is cut off");
    let (recorded_at, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    let (next_offset, rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
    let (request_hash, rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
    let outcome: StoredOutcome = rmp_serde::from_slice(rest)?;
    Ok(Known {
        request_hash: RequestHash(*request_hash),
        outcome: outcome.into_outcome()?,
        next_offset: i64::from_be_bytes(*next_offset),
        recorded_at: Timestamp::from_micros(i64::from_be_bytes(*recorded_at)),
    })
}

/// When an encoded outcome was recorded.
pub(super) fn recorded_at(outcome: &[u8]) -> Option<Timestamp> {
    let micros = outcome.first_chunk()?;
    Some(Timestamp::from_micros(i64::from_be_bytes(*micros)))
}

/// [`Outcome`] with the stream as text and the ids as bytes.
#[derive(Serialize, Deserialize)]
enum StoredOutcome {
    Committed { stream: String, revision: u64, events: Vec<(EventId, Arc<str>)> },
    Unchanged { revision: u64 },
    Rejected { status: u16, code: String, detail: String },
}

impl StoredOutcome {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Committed { stream, revision, events } => Self::Committed {
                stream: stream.as_str().to_owned(),
                revision: *revision,
                events: events.iter().map(|e| (e.id, Arc::clone(&e.event_type))).collect(),
            },
            Outcome::Unchanged { revision } => Self::Unchanged { revision: *revision },
            Outcome::Rejected { status, code, detail } => {
                Self::Rejected { status: *status, code: code.clone(), detail: detail.clone() }
            }
        }
    }

    fn into_outcome(self) -> Result<Outcome, BoxError> {
        Ok(match self {
            Self::Committed { stream, revision, events } => Outcome::Committed {
                stream: stream.parse()?,
                revision,
                events: events
                    .into_iter()
                    .map(|(id, event_type)| EventRef { id, event_type })
                    .collect(),
            },
            Self::Unchanged { revision } => Outcome::Unchanged { revision },
            Self::Rejected { status, code, detail } => Outcome::Rejected { status, code, detail },
        })
    }
}

pub(super) fn deadline(at: Timestamp, stream: &StreamId) -> Vec<u8> {
    // With the sign turned over, negative numbers sort before the others.
    let micros = at.as_micros() ^ i64::MIN;
    [&micros.to_be_bytes(), stream.as_str().as_bytes()].concat()
}

/// Of which stream an encoded deadline is.
pub(super) fn stream_of_deadline(bytes: &[u8]) -> Option<&[u8]> {
    bytes.split_first_chunk::<8>().map(|(_, stream)| stream)
}

pub(super) fn read_deadline(bytes: &[u8]) -> Result<Deadline, BoxError> {
    let (micros, stream) = bytes.split_first_chunk().ok_or("a stored deadline is cut off")?;
    let at = Timestamp::from_micros(i64::from_be_bytes(*micros) ^ i64::MIN);
    Ok((at, std::str::from_utf8(stream)?.parse()?))
}

pub(super) fn command_id(id: CommandId) -> [u8; 16] {
    id.uuid().into_bytes()
}

pub(super) fn checkpoint(checkpoint: &Checkpoint) -> Result<Vec<u8>, BoxError> {
    Ok(rmp_serde::to_vec_named(checkpoint)?)
}

pub(super) fn read_checkpoint(bytes: &[u8]) -> Result<Checkpoint, BoxError> {
    Ok(rmp_serde::from_slice(bytes)?)
}

pub(super) fn header(header: &Header) -> Result<Vec<u8>, BoxError> {
    Ok(rmp_serde::to_vec_named(header)?)
}

pub(super) fn read_header(bytes: &[u8]) -> Result<Header, BoxError> {
    Ok(rmp_serde::from_slice(bytes)?)
}

#[cfg(test)]
mod tests;
