//! Records as Kafka carries them: CloudEvents 1.0 in structured mode, one JSON envelope per record.
//!
//! Decoding borrows from the record and goes over the envelope once. The data of an event are only
//! skipped there; who needs them parses them.
//!
//! **Invariant:** the names, the order and the form of attributes never change. A scheme that differs
//! has another `logversion`, and readers of this one halt there.

mod decode;
mod encode;
mod scan;
mod text;

pub(super) use decode::{Decoder, Raw, UnsupportedVersion};
pub(super) use encode::{encode, encode_event};

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The one header, by which CloudEvents' binding to Kafka tells the structured mode.
pub(super) const CONTENT_TYPE: (&str, &[u8]) = ("content-type", b"application/cloudevents+json");

/// What the records of the first scheme, which spread the attributes over headers, have in common.
/// One of them is proof that the topic is of a release before the first with this scheme.
const SCHEME_1: [(&str, &[u8]); 2] = [("ce_logversion", b"1"), ("ce_source", SOURCE.as_bytes())];

pub(super) const LOG_VERSION: u64 = 2;
pub(super) const SPEC_VERSION: &str = "1.0";
pub(super) const SOURCE: &str = "/tradewind";

pub(super) const CLAIM_TYPE: &str = "tradewind.log.claim.v1";
pub(super) const BARRIER_TYPE: &str = "tradewind.log.barrier.v1";

/// Keys of the records that belong to no stream. A stream id has a slash, so none collides.
pub(super) const CLAIM_KEY: &str = "claim";
pub(super) const BARRIER_KEY: &str = "barrier";

macro_rules! envelope {
    ($($(#[$meta:meta])+ $attribute:ident $(($borrow:ident))? : $type:ty),+ $(,)?) => {
        /// The attributes of all kinds of records, in the order in which they are written.
        #[derive(Default, Serialize, Deserialize, JsonSchema)]
        pub(super) struct Envelope<'a> {
            $(
                $(#[$meta])+
                #[serde($($borrow,)? default, skip_serializing_if = "Option::is_none")]
                $attribute: Option<$type>,
            )+
        }
    };
}

// What each says of itself is what readers of the log are told (`schema`).
envelope! {
    /// Of CloudEvents.
    specversion (borrow): Text<'a>,
    /// Of this envelope. A reader that meets another one in a record that is otherwise as it should be
    /// stops.
    logversion: u64,
    /// What the record is.
    kind (borrow): Text<'a>,
    /// Of an event, the UUIDv5 of its command and its place there.
    id (borrow): Text<'a>,
    /// Where it comes from.
    source (borrow): Text<'a>,
    /// What happened, and in which version it is told.
    r#type (borrow): Text<'a>,
    /// The stream, which is the record's key.
    subject (borrow): Text<'a>,
    /// When it was recorded, in UTC and microseconds.
    time (borrow): Text<'a>,
    /// Offset of the writer's claim.
    epoch: i64,
    /// Nonce of that claim.
    claim (borrow): Text<'a>,
    /// Number of the commit in its shard, from 1 and without a gap.
    seq: u64,
    /// Place of the record in its commit, from 0; absent where it is 0.
    index: u32,
    /// Records of the commit; absent where it is 1.
    count: u32,
    /// Of the stream after this event, from 1.
    revision: u64,
    /// The command that this came of: the same in all records of a commit, and in no other commit.
    commandid (borrow): Text<'a>,
    /// What the chain of commands and events began with; absent where it is the command.
    correlationid (borrow): Text<'a>,
    /// The event or command that caused this one; absent where it is the command.
    causationid (borrow): Text<'a>,
    /// Who sent the command: `key:<id>`, `guest` or `process:<name>`.
    actor (borrow): Text<'a>,
    /// W3C trace context, as CloudEvents' extension has it; absent where the trace was not sampled.
    traceparent (borrow): Text<'a>,
    /// On the first event of a commit: tells whether a command id comes back with another request.
    requesthash (borrow): Text<'a>,
    /// What happened.
    #[schemars(with = "Option<serde_json::Value>")]
    data (borrow): &'a RawValue,
}

/// A text that is only copied where it has escapes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}
