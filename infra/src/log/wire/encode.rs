//! Typed records to headers, key and value.

use std::borrow::Cow;

use domain::timestamp::Timestamp;
use serde::Serialize;

use super::{
    BARRIER_KEY, BARRIER_TYPE, CLAIM_KEY, CLAIM_TYPE, CONTENT_TYPE, Header, LOG_VERSION, SOURCE,
    SPEC_VERSION, text::Ascii,
};
use crate::log::{
    Nonce,
    record::{BarrierRecord, ClaimRecord, EventRecord, OutcomeRecord, OutgoingRecord, Place},
};

/// What a record has besides its headers.
pub(in crate::log) struct Encoded<'a> {
    pub key: &'a [u8],
    pub value: Cow<'a, [u8]>,
}

#[derive(Serialize)]
struct BarrierValue<'a> {
    outcomes: &'a [OutcomeRecord],
}

/// Hands each header to `visit`, in a fixed order.
///
/// # Errors
/// The value of a claim or a barrier has no JSON form, which is a bug of its writer.
pub(in crate::log) fn encode(
    record: &OutgoingRecord,
    mut visit: impl FnMut(&'static str, &[u8]),
) -> Result<Encoded<'_>, serde_json::Error> {
    let mut put = |header: Header, value: &[u8]| visit(header.name(), value);
    Ok(match record {
        OutgoingRecord::Claim(claim) => {
            claim_headers(claim, &mut put);
            Encoded { key: CLAIM_KEY, value: serde_json::to_vec(&claim.info)?.into() }
        }
        OutgoingRecord::Event(event) => {
            event_headers(event, &mut put);
            Encoded { key: event.stream.as_str().as_bytes(), value: (&*event.value).into() }
        }
        OutgoingRecord::Barrier(barrier) => {
            barrier_headers(barrier, &mut put);
            let value = BarrierValue { outcomes: &barrier.outcomes };
            Encoded { key: BARRIER_KEY, value: serde_json::to_vec(&value)?.into() }
        }
    })
}

fn claim_headers(claim: &ClaimRecord, put: &mut impl FnMut(Header, &[u8])) {
    let nonce = hex(claim.nonce);
    let id = Ascii::of(format_args!("claim-{}", claim.nonce));
    cloud_event(id.as_bytes(), CLAIM_TYPE, CLAIM_KEY, claim.info.started_at, put);
    put(Header::Kind, b"claim");
    put(Header::Claim, nonce.as_bytes());
}

fn barrier_headers(barrier: &BarrierRecord, put: &mut impl FnMut(Header, &[u8])) {
    let Place { claim, seq, .. } = barrier.place;
    let id = Ascii::of(format_args!("barrier-{claim}-{seq}"));
    cloud_event(id.as_bytes(), BARRIER_TYPE, BARRIER_KEY, barrier.recorded_at, put);
    put(Header::Kind, b"barrier");
    place(&barrier.place, put);
}

fn event_headers(event: &EventRecord, put: &mut impl FnMut(Header, &[u8])) {
    let mut buffer = uuid::Uuid::encode_buffer();
    let id = event.id.uuid().hyphenated().encode_lower(&mut buffer);
    let subject = event.stream.as_str().as_bytes();
    cloud_event(id.as_bytes(), event.event_type.as_bytes(), subject, event.recorded_at, put);
    put(Header::Kind, b"event");
    place(&event.place, put);
    put(Header::Revision, Ascii::number(event.revision).as_bytes());

    let provenance = &event.provenance;
    let ids = [
        (Header::CommandId, provenance.command_id.uuid()),
        (Header::CorrelationId, provenance.correlation_id.uuid()),
        (Header::CausationId, provenance.causation_id.uuid()),
    ];
    for (header, id) in ids {
        put(header, id.hyphenated().encode_lower(&mut buffer).as_bytes());
    }
    put(Header::Actor, provenance.actor.as_bytes());
    if let Some(traceparent) = &provenance.traceparent {
        put(Header::Traceparent, traceparent.as_bytes());
    }
    if let Some(hash) = event.request_hash {
        put(Header::RequestHash, Ascii::hex(hash.0).as_bytes());
    }
}

fn cloud_event(
    id: &[u8],
    kind: &[u8],
    subject: &[u8],
    at: Timestamp,
    put: &mut impl FnMut(Header, &[u8]),
) {
    put(Header::SpecVersion, SPEC_VERSION);
    put(Header::Id, id);
    put(Header::Source, SOURCE);
    put(Header::Type, kind);
    put(Header::Subject, subject);
    put(Header::Time, Ascii::timestamp(at).as_bytes());
    put(Header::ContentType, CONTENT_TYPE);
    put(Header::LogVersion, LOG_VERSION);
}

fn place(place: &Place, put: &mut impl FnMut(Header, &[u8])) {
    put(Header::Epoch, Ascii::offset(place.epoch).as_bytes());
    put(Header::Claim, hex(place.claim).as_bytes());
    put(Header::Seq, Ascii::number(place.seq).as_bytes());
    put(Header::Index, Ascii::number(place.index.into()).as_bytes());
    put(Header::Count, Ascii::number(place.count.into()).as_bytes());
}

fn hex(nonce: Nonce) -> Ascii {
    Ascii::hex(nonce.0.to_be_bytes())
}
