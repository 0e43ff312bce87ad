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

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The one header, by which CloudEvents' binding to Kafka tells the structured mode.
pub(super) const CONTENT_TYPE: (&str, &[u8]) = ("content-type", b"application/cloudevents+json");

/// What the records of the first scheme, which spread the attributes over headers, have in common.
/// One of them is proof that the topic is of a release before the first with this scheme.
const SCHEME_1: [(&str, &[u8]); 2] = [("ce_logversion", b"1"), ("ce_source", SOURCE.as_bytes())];

const LOG_VERSION: u64 = 2;
const SPEC_VERSION: &str = "1.0";
const SOURCE: &str = "/tradewind";

const CLAIM_TYPE: &str = "tradewind.log.claim.v1";
const BARRIER_TYPE: &str = "tradewind.log.barrier.v1";

/// Keys of the records that belong to no stream. A stream id has a slash, so none collides.
const CLAIM_KEY: &str = "claim";
const BARRIER_KEY: &str = "barrier";

macro_rules! envelope {
    ($($attribute:ident $(($borrow:ident))? : $type:ty),+ $(,)?) => {
        /// The attributes of all kinds of records, in the order in which they are written.
        #[derive(Default, Serialize, Deserialize)]
        struct Envelope<'a> {
            $(
                #[serde($($borrow,)? default, skip_serializing_if = "Option::is_none")]
                $attribute: Option<$type>,
            )+
        }
    };
}

envelope! {
    specversion (borrow): Text<'a>,
    logversion: u64,
    kind (borrow): Text<'a>,
    id (borrow): Text<'a>,
    source (borrow): Text<'a>,
    r#type (borrow): Text<'a>,
    subject (borrow): Text<'a>,
    time (borrow): Text<'a>,
    epoch: i64,
    claim (borrow): Text<'a>,
    seq: u64,
    index: u32,
    count: u32,
    revision: u64,
    commandid (borrow): Text<'a>,
    correlationid (borrow): Text<'a>,
    causationid (borrow): Text<'a>,
    actor (borrow): Text<'a>,
    traceparent (borrow): Text<'a>,
    requesthash (borrow): Text<'a>,
    data (borrow): &'a RawValue,
}

/// A text that is only copied where it has escapes.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}
