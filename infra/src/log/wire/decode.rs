//! Headers, key and value to typed records, or the reason why a record is not one of ours.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
    timestamp::Timestamp,
};
use rustc_hash::FxHashSet;
use serde::Deserialize;

use super::{
    BARRIER_KEY, BARRIER_TYPE, CLAIM_KEY, CLAIM_TYPE, CONTENT_TYPE, HEADERS_MAX, Header,
    LOG_VERSION, SOURCE, SPEC_VERSION, text,
};
use crate::{
    log::{
        Nonce,
        record::{
            BarrierRecord, Body, ClaimRecord, EventRecord, ForeignReason, OutcomeRecord, Place,
            RequestHash,
        },
    },
    text::from_hex,
};

/// A record as Kafka gives it.
#[derive(Clone, Copy, Default)]
pub(in crate::log) struct Raw<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    headers: [Option<&'a [u8]>; HEADERS_MAX],
}

/// An otherwise valid record of another header scheme.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::log) struct UnsupportedVersion(pub String);

/// Decodes the records of one reader, sharing the texts that come again and again.
#[derive(Default)]
pub(in crate::log) struct Decoder {
    texts: Interner,
}

impl<'a> Raw<'a> {
    /// The last of several headers of one name counts; names that are not ours are passed over.
    pub(in crate::log) fn new(
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Self {
        let mut raw = Self { key, value, ..Self::default() };
        // Writers keep the order of `Header`, so the search mostly ends at its first step.
        let mut next = 0;
        for (name, value) in headers {
            let from_next = (next..HEADERS_MAX).chain(0..next);
            if let Some(found) = from_next.into_iter().find(|&at| Header::NAMES[at] == name) {
                raw.headers[found] = value;
                next = (found + 1) % HEADERS_MAX;
            }
        }
        raw
    }

    fn get(&self, header: Header) -> Result<&'a [u8], ForeignReason> {
        self.headers[header as usize].ok_or(ForeignReason::HeaderMissing)
    }

    fn parse<T>(
        &self,
        header: Header,
        parse: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Result<T, ForeignReason> {
        parse(self.get(header)?).ok_or(ForeignReason::HeaderInvalid)
    }

    fn optional<T>(
        &self,
        header: Header,
        parse: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Result<Option<T>, ForeignReason> {
        let value = self.headers[header as usize];
        value.map(|value| parse(value).ok_or(ForeignReason::HeaderInvalid)).transpose()
    }

    fn demand(&self, header: Header, value: &[u8]) -> Result<(), ForeignReason> {
        self.parse(header, |found| (found == value).then_some(()))
    }

    fn value(&self) -> Result<&'a [u8], ForeignReason> {
        self.value.ok_or(ForeignReason::ValueInvalid)
    }

    fn demand_key(&self, key: &[u8]) -> Result<(), ForeignReason> {
        if self.key == Some(key) { Ok(()) } else { Err(ForeignReason::KeyMismatch) }
    }
}

impl Decoder {
    pub(in crate::log) fn decode(&mut self, raw: &Raw<'_>) -> Result<Body, UnsupportedVersion> {
        match self.body(raw) {
            Err(reason) => Ok(Body::Foreign(reason)),
            Ok((body, LOG_VERSION)) => Ok(body),
            Ok((_, other)) => Err(UnsupportedVersion(String::from_utf8_lossy(other).into_owned())),
        }
    }

    /// The body and the version under which it claims to be written.
    fn body<'a>(&mut self, raw: &Raw<'a>) -> Result<(Body, &'a [u8]), ForeignReason> {
        raw.demand(Header::SpecVersion, SPEC_VERSION)?;
        raw.demand(Header::Source, SOURCE)?;
        raw.demand(Header::ContentType, CONTENT_TYPE)?;
        let version = raw.get(Header::LogVersion)?;
        let body = match raw.get(Header::Kind)? {
            b"event" => Body::Event(Box::new(self.event(raw)?)),
            b"barrier" => Body::Barrier(barrier(raw)?),
            b"claim" => Body::Claim(claim(raw)?),
            _ => return Err(ForeignReason::HeaderInvalid),
        };
        Ok((body, version))
    }

    fn event(&mut self, raw: &Raw<'_>) -> Result<EventRecord, ForeignReason> {
        let subject = raw.get(Header::Subject)?;
        raw.demand_key(subject)?;
        Ok(EventRecord {
            place: place(raw)?,
            id: EventId::new(raw.parse(Header::Id, text::uuid)?),
            event_type: self.texts.intern(raw.parse(Header::Type, utf8)?),
            stream: raw.parse(Header::Subject, stream)?,
            revision: raw.parse(Header::Revision, positive)?,
            recorded_at: time(raw)?,
            provenance: self.provenance(raw)?,
            request_hash: raw
                .optional(Header::RequestHash, |hash| from_hex(hash).map(RequestHash))?,
            value: Bytes::copy_from_slice(raw.value()?),
        })
    }

    fn provenance(&mut self, raw: &Raw<'_>) -> Result<Provenance, ForeignReason> {
        Ok(Provenance {
            command_id: CommandId::new(raw.parse(Header::CommandId, text::uuid)?),
            correlation_id: CorrelationId::new(raw.parse(Header::CorrelationId, text::uuid)?),
            causation_id: CausationId::new(raw.parse(Header::CausationId, text::uuid)?),
            actor: self.texts.intern(raw.parse(Header::Actor, utf8)?),
            traceparent: raw.optional(Header::Traceparent, |text| utf8(text).map(Into::into))?,
        })
    }
}

fn claim(raw: &Raw<'_>) -> Result<ClaimRecord, ForeignReason> {
    raw.demand(Header::Type, CLAIM_TYPE)?;
    raw.demand_key(CLAIM_KEY)?;
    let nonce = raw.parse(Header::Claim, nonce)?;
    match serde_json::from_slice(raw.value()?) {
        Ok(info) => Ok(ClaimRecord { nonce, info }),
        Err(_) => Err(ForeignReason::ValueInvalid),
    }
}

fn barrier(raw: &Raw<'_>) -> Result<BarrierRecord, ForeignReason> {
    #[derive(Deserialize)]
    struct Value {
        outcomes: Vec<OutcomeRecord>,
    }
    raw.demand(Header::Type, BARRIER_TYPE)?;
    raw.demand_key(BARRIER_KEY)?;
    let place = place(raw)?;
    let recorded_at = time(raw)?;
    match serde_json::from_slice(raw.value()?) {
        Ok(Value { outcomes }) => Ok(BarrierRecord { place, recorded_at, outcomes }),
        Err(_) => Err(ForeignReason::ValueInvalid),
    }
}

fn place(raw: &Raw<'_>) -> Result<Place, ForeignReason> {
    let place = Place {
        epoch: raw.parse(Header::Epoch, |value| text::number(value)?.try_into().ok())?,
        claim: raw.parse(Header::Claim, nonce)?,
        seq: raw.parse(Header::Seq, positive)?,
        index: raw.parse(Header::Index, |value| text::number(value)?.try_into().ok())?,
        count: raw.parse(Header::Count, |value| positive(value)?.try_into().ok())?,
    };
    if place.index < place.count { Ok(place) } else { Err(ForeignReason::HeaderInvalid) }
}

fn time(raw: &Raw<'_>) -> Result<Timestamp, ForeignReason> {
    raw.parse(Header::Time, text::timestamp)
}

fn utf8(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

fn stream(value: &[u8]) -> Option<StreamId> {
    utf8(value)?.parse().ok()
}

fn nonce(value: &[u8]) -> Option<Nonce> {
    from_hex(value).map(|bytes| Nonce(u64::from_be_bytes(bytes)))
}

fn positive(value: &[u8]) -> Option<u64> {
    text::number(value).filter(|&number| number > 0)
}

/// One allocation for each of the few texts that nearly all records share.
#[derive(Default)]
struct Interner(FxHashSet<Arc<str>>);

impl Interner {
    /// Beyond this many the set is emptied, so that ever new actors cannot fill the memory.
    const TEXTS_MAX: usize = 1_024;

    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        if self.0.len() >= Self::TEXTS_MAX {
            self.0.clear();
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
    }
}
