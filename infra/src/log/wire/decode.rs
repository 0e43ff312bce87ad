//! Key and envelope to typed records, or the reason why a record is not one of ours.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{
    StreamType,
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
    timestamp::Timestamp,
};
use rustc_hash::FxHashSet;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    BARRIER_KEY, BARRIER_TYPE, CLAIM_KEY, CLAIM_TYPE, CONTENT_TYPE, Envelope, LOG_VERSION,
    SCHEME_1, SOURCE, SPEC_VERSION, Text, scan,
};
use crate::log::record::{
    BarrierRecord, Body, ClaimRecord, EventRecord, ForeignReason, OutcomeRecord, Place,
};

/// A record as Kafka gives it.
#[derive(Clone, Copy, Default)]
pub(in crate::log) struct Raw<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    is_of_scheme_1: bool,
}

/// An otherwise valid record of another scheme.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::log) struct UnsupportedVersion(pub u64);

/// Decodes the records of one reader, sharing the texts that come again and again.
#[derive(Default)]
pub(in crate::log) struct Decoder {
    texts: Interner,
    second: Second,
    /// Of streams of other types the data are not kept.
    wanted: Option<Vec<StreamType>>,
}

impl<'a> Raw<'a> {
    /// The last of several headers of one name counts; names that are not ours are passed over.
    pub(in crate::log) fn new(
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Self {
        let mut raw = Self { key, value, ..Self::default() };
        let mut seen = [false; SCHEME_1.len()];
        for (name, value) in headers {
            if name == CONTENT_TYPE.0 {
                raw.content_type = value;
            }
            for (seen, (known, expected)) in seen.iter_mut().zip(SCHEME_1) {
                *seen |= name == known && value == Some(expected);
            }
        }
        raw.is_of_scheme_1 = seen == [true; SCHEME_1.len()];
        raw
    }

    fn envelope(&self) -> Result<Envelope<'a>, ForeignReason> {
        if self.content_type != Some(CONTENT_TYPE.1) {
            return Err(ForeignReason::ContentType);
        }
        let text = self.value.and_then(|value| std::str::from_utf8(value).ok());
        if let Some(envelope) = text.and_then(scan::event) {
            return Ok(envelope);
        }
        // serde would take an array for the envelope, too.
        let object = text.filter(|text| text.trim_start().starts_with('{'));
        serde_json::from_str(object.ok_or(ForeignReason::EnvelopeInvalid)?).map_err(|error| {
            // Of the right syntax, but a member comes twice or is of another type.
            let is_json = error.is_data();
            if is_json { ForeignReason::AttributeInvalid } else { ForeignReason::EnvelopeInvalid }
        })
    }

    fn demand_key(&self, key: &str) -> Result<(), ForeignReason> {
        if self.key == Some(key.as_bytes()) { Ok(()) } else { Err(ForeignReason::KeyMismatch) }
    }
}

impl Decoder {
    /// The data of other events are still checked, and then left out.
    pub(in crate::log) fn want_only(&mut self, types: &[StreamType]) {
        self.wanted = Some(types.to_vec());
    }

    pub(in crate::log) fn decode(&mut self, raw: &Raw<'_>) -> Result<Body, UnsupportedVersion> {
        if raw.is_of_scheme_1 {
            return Err(UnsupportedVersion(1));
        }
        match self.body(raw) {
            Err(reason) => Ok(Body::Foreign(reason)),
            Ok((body, LOG_VERSION)) => Ok(body),
            Ok((_, other)) => Err(UnsupportedVersion(other)),
        }
    }

    /// The body and the version under which it claims to be written.
    fn body(&mut self, raw: &Raw<'_>) -> Result<(Body, u64), ForeignReason> {
        let envelope = raw.envelope()?;
        demand(&envelope.specversion, SPEC_VERSION)?;
        demand(&envelope.source, SOURCE)?;
        let version = present(envelope.logversion)?;
        let body = match text(&envelope.kind)? {
            "event" => Body::Event(Box::new(self.event(raw, &envelope)?)),
            "barrier" => Body::Barrier(barrier(raw, &envelope)?),
            "claim" => Body::Claim(claim(raw, &envelope)?),
            _ => return Err(ForeignReason::AttributeInvalid),
        };
        Ok((body, version))
    }

    fn event(
        &mut self,
        raw: &Raw<'_>,
        envelope: &Envelope<'_>,
    ) -> Result<EventRecord, ForeignReason> {
        let subject = text(&envelope.subject)?;
        raw.demand_key(subject)?;
        let request_hash = optional(&envelope.requesthash, |text| text.parse().ok())?;
        let place = place(envelope)?;
        let id = EventId::new(parse(&envelope.id, uuid)?);
        let event_type = self.texts.intern(text(&envelope.r#type)?);
        let stream = subject.parse().map_err(|_invalid| ForeignReason::AttributeInvalid)?;
        Ok(EventRecord {
            place,
            id,
            event_type,
            revision: positive(envelope.revision)?,
            recorded_at: parse(&envelope.time, |text| self.second.instant(text))?,
            provenance: self.provenance(envelope)?,
            request_hash,
            value: self.value(&stream, data(envelope)?),
            stream,
        })
    }

    fn value(&self, stream: &StreamId, data: &str) -> Bytes {
        let wants = |types: &Vec<_>| stream.stream_type().is_some_and(|it| types.contains(&it));
        if self.wanted.as_ref().is_none_or(wants) {
            Bytes::copy_from_slice(data.as_bytes())
        } else {
            Bytes::new()
        }
    }

    fn provenance(&mut self, envelope: &Envelope<'_>) -> Result<Provenance, ForeignReason> {
        let command = parse(&envelope.commandid, uuid)?;
        Ok(Provenance {
            command_id: CommandId::new(command),
            correlation_id: CorrelationId::new(
                optional(&envelope.correlationid, uuid)?.unwrap_or(command),
            ),
            causation_id: CausationId::new(
                optional(&envelope.causationid, uuid)?.unwrap_or(command),
            ),
            actor: self.texts.intern(text(&envelope.actor)?),
            traceparent: envelope.traceparent.as_ref().map(|text| (&*text.0).into()),
        })
    }
}

fn claim(raw: &Raw<'_>, envelope: &Envelope<'_>) -> Result<ClaimRecord, ForeignReason> {
    demand(&envelope.r#type, CLAIM_TYPE)?;
    raw.demand_key(CLAIM_KEY)?;
    let nonce = parse(&envelope.claim, |text| text.parse().ok())?;
    let info = of_kind(data(envelope)?)?;
    Ok(ClaimRecord { nonce, info })
}

fn barrier(raw: &Raw<'_>, envelope: &Envelope<'_>) -> Result<BarrierRecord, ForeignReason> {
    #[derive(Deserialize)]
    struct Data {
        outcomes: Vec<OutcomeRecord>,
    }
    demand(&envelope.r#type, BARRIER_TYPE)?;
    raw.demand_key(BARRIER_KEY)?;
    let (place, recorded_at) = (place(envelope)?, time(envelope)?);
    let Data { outcomes } = of_kind(data(envelope)?)?;
    Ok(BarrierRecord { place, recorded_at, outcomes })
}

fn place(envelope: &Envelope<'_>) -> Result<Place, ForeignReason> {
    let place = Place {
        epoch: present(envelope.epoch)?,
        claim: parse(&envelope.claim, |text| text.parse().ok())?,
        seq: positive(envelope.seq)?,
        index: envelope.index.unwrap_or(0),
        count: envelope.count.unwrap_or(1),
    };
    if place.epoch >= 0 && place.index < place.count {
        Ok(place)
    } else {
        Err(ForeignReason::AttributeInvalid)
    }
}

fn time(envelope: &Envelope<'_>) -> Result<Timestamp, ForeignReason> {
    parse(&envelope.time, |text| Timestamp::parse(text.as_bytes()).ok())
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

fn data<'a>(envelope: &Envelope<'a>) -> Result<&'a str, ForeignReason> {
    Ok(present(envelope.data)?.get())
}

/// The data of claims and barriers, which are ours to read.
fn of_kind<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, ForeignReason> {
    serde_json::from_str(data).map_err(|_invalid| ForeignReason::DataInvalid)
}

fn present<T>(attribute: Option<T>) -> Result<T, ForeignReason> {
    attribute.ok_or(ForeignReason::AttributeMissing)
}

fn positive(attribute: Option<u64>) -> Result<u64, ForeignReason> {
    Some(present(attribute)?).filter(|number| *number > 0).ok_or(ForeignReason::AttributeInvalid)
}

fn text<'e>(attribute: &'e Option<Text<'_>>) -> Result<&'e str, ForeignReason> {
    Ok(&present(attribute.as_ref())?.0)
}

fn demand(attribute: &Option<Text<'_>>, value: &str) -> Result<(), ForeignReason> {
    if text(attribute)? == value { Ok(()) } else { Err(ForeignReason::AttributeInvalid) }
}

fn parse<T>(
    attribute: &Option<Text<'_>>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ForeignReason> {
    parse(text(attribute)?).ok_or(ForeignReason::AttributeInvalid)
}

fn optional<T>(
    attribute: &Option<Text<'_>>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ForeignReason> {
    let text = attribute.as_ref();
    text.map(|text| parse(&text.0).ok_or(ForeignReason::AttributeInvalid)).transpose()
}

/// The last second of which an instant was read. That of the next record is nearly always of the same one.
#[derive(Default)]
struct Second(Option<([u8; 19], Timestamp)>);

impl Second {
    /// The instant that a text names, if there is one.
    fn instant(&mut self, text: &str) -> Option<Timestamp> {
        let text = text.as_bytes();
        let Some((second, [b'.', digits @ .., b'Z'])) = text.split_first_chunk() else {
            return Timestamp::parse(text).ok();
        };
        let Some(micros) = micros(digits) else { return Timestamp::parse(text).ok() };
        match self.0 {
            Some((known, at)) if known == *second => Some(at.plus(micros)),
            _ => {
                let at = Timestamp::parse(text).ok()?;
                self.0 = Some((*second, at.minus(micros)));
                Some(at)
            }
        }
    }
}

/// Of the six digits that our writers write.
fn micros(digits: &[u8]) -> Option<Duration> {
    let digits: &[u8; 6] = digits.try_into().ok()?;
    let digit =
        |value: u64, byte: &u8| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'));
    digits.iter().try_fold(0, digit).map(Duration::from_micros)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instant_is_the_same_whatever_was_read_before_it() {
        let texts = [
            "2026-01-31T12:00:00.000001Z",
            "2026-01-31T12:00:00.999999Z",
            "2026-01-31T12:00:01.000000Z",
            "2026-01-31T12:00:60.000000Z",
            "2026-01-31T12:00:01.5Z",
            "2026-01-31T12:00:01.1234567Z",
            "2026-01-31T12:00:01.12345xZ",
            "2026-01-31T12:00:01.123456z",
            "2026-01-31T12:00:01.123456+02:00",
            "2026-01-31T12:00:01Z",
            "2026-02-31T12:00:01.000000Z",
            "0001-01-01T00:00:00.000000Z",
            "0000-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59.999999Z",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0.000000Z",
            "yesterday",
            "",
        ];
        let mut second = Second::default();
        for before in texts {
            for text in texts {
                second.instant(before);
                assert_eq!(second.instant(text), Timestamp::parse(text.as_bytes()).ok(), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn instants_of_one_second_are_told_apart(micros: i64, others: [u32; 4]) {
            let mut second = Second::default();
            let base = Timestamp::from_micros(micros).as_micros();
            for other in others {
                let at = Timestamp::from_micros(base.saturating_add(i64::from(other % 1_000_000)));
                let text = at.to_string();
                prop_assert_eq!(second.instant(&text), Some(at));
            }
        }
    }
}
