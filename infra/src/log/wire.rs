//! Records as Kafka carries them: CloudEvents 1.0 in binary mode plus the headers of the log.
//!
//! Both ways avoid allocations: headers go one by one to a visitor when written, and are borrowed
//! when read.
//!
//! **Invariant:** the names and the text of headers never change. A scheme that differs has another
//! `ce_logversion`, and readers of this one halt there.

mod decode;
mod encode;
mod text;

pub(super) use decode::{Decoder, Raw, UnsupportedVersion};
pub(super) use encode::encode;

#[cfg(test)]
mod tests;

const LOG_VERSION: &[u8] = b"1";
const SPEC_VERSION: &[u8] = b"1.0";
const SOURCE: &[u8] = b"/tradewind";
const CONTENT_TYPE: &[u8] = b"application/json";

const CLAIM_TYPE: &[u8] = b"tradewind.log.claim.v1";
const BARRIER_TYPE: &[u8] = b"tradewind.log.barrier.v1";

/// Keys of the records that belong to no stream. A stream id has a slash, so none collides.
const CLAIM_KEY: &[u8] = b"claim";
const BARRIER_KEY: &[u8] = b"barrier";

macro_rules! headers {
    ($($header:ident = $name:literal),+ $(,)?) => {
        /// The headers of all kinds of records, in the order in which they are written.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Header { $($header),+ }

        impl Header {
            const NAMES: &[&'static str] = &[$($name),+];

            const fn name(self) -> &'static str {
                match self { $(Self::$header => $name),+ }
            }
        }
    };
}

headers! {
    SpecVersion = "ce_specversion",
    Id = "ce_id",
    Source = "ce_source",
    Type = "ce_type",
    Subject = "ce_subject",
    Time = "ce_time",
    ContentType = "content-type",
    LogVersion = "ce_logversion",
    Kind = "ce_kind",
    Epoch = "ce_epoch",
    Claim = "ce_claim",
    Seq = "ce_seq",
    Index = "ce_index",
    Count = "ce_count",
    Revision = "ce_revision",
    CommandId = "ce_commandid",
    CorrelationId = "ce_correlationid",
    CausationId = "ce_causationid",
    Actor = "ce_actor",
    Traceparent = "ce_traceparent",
    RequestHash = "ce_requesthash",
}

const HEADERS_MAX: usize = Header::NAMES.len();
