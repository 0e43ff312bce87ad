//! What the log carries. [`super::wire`] gives these types their form in Kafka.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use domain::{
    envelope::{Provenance, Revision},
    id::{CommandId, EventId, StreamId},
    timestamp::Timestamp,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Nonce, Offset};
use crate::text::{from_hex, serde_as_text};

/// Where a record stands in its commit, and its commit in the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Offset of the writer's claim.
    pub epoch: Offset,
    /// Nonce of that claim.
    pub claim: Nonce,
    /// Number of the commit in its shard, gapless, from 1.
    pub seq: u64,
    /// Place of the record in its commit, from 0.
    pub index: u32,
    /// Records of the commit, at least 1.
    pub count: u32,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    pub offset: Offset,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Claim(ClaimRecord),
    Event(Box<EventRecord>),
    Barrier(BarrierRecord),
    /// Not one of ours: readers pass over it and count it.
    Foreign(ForeignReason),
}

/// A record to be appended.
#[derive(Clone, Debug, PartialEq)]
pub enum OutgoingRecord {
    Claim(ClaimRecord),
    Event(Box<EventRecord>),
    Barrier(BarrierRecord),
}

impl OutgoingRecord {
    /// The record as a reader sees it once it stands at `offset`.
    #[must_use]
    pub fn at(self, offset: Offset) -> LogRecord {
        let body = match self {
            Self::Claim(claim) => Body::Claim(claim),
            Self::Event(event) => Body::Event(event),
            Self::Barrier(barrier) => Body::Barrier(barrier),
        };
        LogRecord { offset, body }
    }
}

/// Why a record is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForeignReason {
    /// The one header is absent or tells of something else than a CloudEvent in JSON.
    ContentType,
    /// The value is absent, not JSON, or no object.
    EnvelopeInvalid,
    /// An attribute that every record of its kind has is absent.
    AttributeMissing,
    /// An attribute is not what it should be, or comes twice.
    AttributeInvalid,
    /// The key is not the one that the envelope asks for.
    KeyMismatch,
    /// The data of a claim or a barrier are not what its kind demands.
    DataInvalid,
}

impl ForeignReason {
    /// For metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ContentType => "content_type",
            Self::EnvelopeInvalid => "envelope_invalid",
            Self::AttributeMissing => "attribute_missing",
            Self::AttributeInvalid => "attribute_invalid",
            Self::KeyMismatch => "key_mismatch",
            Self::DataInvalid => "data_invalid",
        }
    }
}

/// Begins an epoch: from here on only commits of this writer count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRecord {
    pub nonce: Nonce,
    pub info: ClaimInfo,
}

/// Who claims, for people who look into the log and for others who look for the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimInfo {
    /// The node that claims.
    pub node: String,
    /// Where the node serves HTTP.
    pub url: String,
    /// When this writer began; the claim's `time`.
    pub started_at: Timestamp,
    /// Name and version of what writes.
    pub software: String,
}

/// A domain event, its data still in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    pub place: Place,
    pub id: EventId,
    /// `tradewind.<stream type>.<event>.v<version>`.
    pub event_type: Arc<str>,
    pub stream: StreamId,
    pub revision: Revision,
    pub recorded_at: Timestamp,
    pub provenance: Provenance,
    /// On the first event of a commit only.
    pub request_hash: Option<RequestHash>,
    pub value: Bytes,
}

impl EventRecord {
    /// Writes the event as the log has it, a CloudEvent in structured mode, to the end of `envelope`.
    ///
    /// # Errors
    /// Its data are not JSON.
    pub fn write_envelope(&self, envelope: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        super::wire::encode_event(self, envelope)
    }
}

/// A commit of one record that changes no stream: it proves that its writer was the owner when it
/// was appended, and keeps the answers that were given without an event.
#[derive(Clone, Debug, PartialEq)]
pub struct BarrierRecord {
    pub place: Place,
    pub recorded_at: Timestamp,
    pub outcomes: Vec<OutcomeRecord>,
}

/// The answer to a command that was rejected, or accepted without an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeRecord {
    /// The command that was answered.
    pub command_id: CommandId,
    /// Tells whether it comes back with another request.
    pub request_hash: RequestHash,
    /// Of HTTP.
    pub status: u16,
    /// What the client was told.
    pub body: serde_json::Value,
}

/// The data of a barrier.
#[derive(Serialize, JsonSchema)]
pub(super) struct BarrierData<'a> {
    /// The answers that it keeps; there may be none.
    pub(super) outcomes: &'a [OutcomeRecord],
}

/// Tells whether a command id comes back with the request that it was first used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestHash(pub [u8; 16]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 32 lower-case hex digits")]
pub struct InvalidRequestHash;

impl RequestHash {
    /// Half of a SHA-256 over the parts, each after its length so that no two lists of parts run
    /// into the same bytes.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(hasher.finalize()) {
            *to = from;
        }
        Self(half)
    }
}

impl std::fmt::Display for RequestHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::str::FromStr for RequestHash {
    type Err = InvalidRequestHash;

    fn from_str(text: &str) -> Result<Self, InvalidRequestHash> {
        from_hex(text.as_bytes()).map(Self).ok_or(InvalidRequestHash)
    }
}

serde_as_text!(RequestHash);

impl JsonSchema for RequestHash {
    fn schema_name() -> Cow<'static, str> {
        "RequestHash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{32}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_hash_tells_where_parts_end() {
        assert_ne!(RequestHash::of(&[b"ab", b"c"]), RequestHash::of(&[b"a", b"bc"]));
        assert_ne!(RequestHash::of(&[]), RequestHash::of(&[b""]));
    }

    #[test]
    fn outcome_has_exactly_the_documented_fields() {
        let outcome = OutcomeRecord {
            command_id: CommandId::new(uuid::Uuid::nil()),
            request_hash: RequestHash([0xab; 16]),
            status: 409,
            body: serde_json::json!({"code": "stock.insufficient"}),
        };
        let text = serde_json::to_string(&outcome).unwrap();
        expect_test::expect![[r#"{"command_id":"00000000-0000-0000-0000-000000000000","request_hash":"abababababababababababababababab","status":409,"body":{"code":"stock.insufficient"}}"#]].assert_eq(&text);
        assert_eq!(serde_json::from_str::<OutcomeRecord>(&text).unwrap(), outcome);
    }
}
