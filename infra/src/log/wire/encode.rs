//! Typed records to the key and the envelope.

use serde::ser::Error as _;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    BARRIER_KEY, BARRIER_TYPE, CLAIM_KEY, CLAIM_TYPE, Envelope, LOG_VERSION, SOURCE, SPEC_VERSION,
    text::Ascii,
};
use crate::log::record::{
    BarrierData, BarrierRecord, ClaimRecord, EventRecord, OutgoingRecord, Place,
};

/// Writes the envelope to the end of `value` and gives the key.
///
/// # Errors
/// The data of the record are not JSON, which is a bug of its writer.
pub(in crate::log) fn encode<'a>(
    record: &'a OutgoingRecord,
    value: &mut Vec<u8>,
) -> Result<&'a [u8], serde_json::Error> {
    let key = match record {
        OutgoingRecord::Claim(claim) => {
            encode_claim(claim, value)?;
            CLAIM_KEY
        }
        OutgoingRecord::Event(event) => {
            encode_event(event, value)?;
            event.stream.as_str()
        }
        OutgoingRecord::Barrier(barrier) => {
            encode_barrier(barrier, value)?;
            BARRIER_KEY
        }
    };
    Ok(key.as_bytes())
}

fn encode_claim(claim: &ClaimRecord, value: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let nonce = Ascii::of(claim.nonce);
    let id = Ascii::of(format_args!("claim-{}", claim.nonce));
    let time = Ascii::timestamp(claim.info.started_at);
    let data = serde_json::value::to_raw_value(&claim.info)?;
    let envelope = Envelope {
        kind: Some("claim".into()),
        claim: Some(nonce.as_str().into()),
        data: Some(&data),
        ..cloud_event(id.as_str(), CLAIM_TYPE, CLAIM_KEY, &time)
    };
    serde_json::to_writer(value, &envelope)
}

fn encode_barrier(barrier: &BarrierRecord, value: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let Place { epoch, claim, seq, index, count } = barrier.place;
    let nonce = Ascii::of(claim);
    let id = Ascii::of(format_args!("barrier-{claim}-{seq}"));
    let time = Ascii::timestamp(barrier.recorded_at);
    let data = serde_json::value::to_raw_value(&BarrierData { outcomes: &barrier.outcomes })?;
    let envelope = Envelope {
        kind: Some("barrier".into()),
        epoch: Some(epoch),
        claim: Some(nonce.as_str().into()),
        seq: Some(seq),
        index: Some(index).filter(|index| *index != 0),
        count: Some(count).filter(|count| *count != 1),
        data: Some(&data),
        ..cloud_event(id.as_str(), BARRIER_TYPE, BARRIER_KEY, &time)
    };
    serde_json::to_writer(value, &envelope)
}

pub(in crate::log) fn encode_event(
    event: &EventRecord,
    value: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let Place { epoch, claim, seq, index, count } = event.place;
    let provenance = &event.provenance;
    let (command, correlation, causation) = (
        provenance.command_id.uuid(),
        provenance.correlation_id.uuid(),
        provenance.causation_id.uuid(),
    );
    let mut buffers = [Uuid::encode_buffer(); 4];
    let [id, of_command, of_correlation, of_causation] = &mut buffers;
    let id = event.id.uuid().hyphenated().encode_lower(id);
    let time = Ascii::timestamp(event.recorded_at);
    let nonce = Ascii::hex(claim.0.to_be_bytes());
    let hash = event.request_hash.map(|hash| Ascii::hex(hash.0));
    // Whatever the codec gives is read before it is appended: what is not JSON no reader would take.
    let data: &RawValue = serde_json::from_slice(&event.value)?;
    if data.get() == "null" {
        return Err(serde_json::Error::custom("an event without data"));
    }
    let envelope = Envelope {
        kind: Some("event".into()),
        epoch: Some(epoch),
        claim: Some(nonce.as_str().into()),
        seq: Some(seq),
        index: Some(index).filter(|index| *index != 0),
        count: Some(count).filter(|count| *count != 1),
        revision: Some(event.revision),
        commandid: Some((&*command.hyphenated().encode_lower(of_command)).into()),
        correlationid: (correlation != command)
            .then(|| (&*correlation.hyphenated().encode_lower(of_correlation)).into()),
        causationid: (causation != command)
            .then(|| (&*causation.hyphenated().encode_lower(of_causation)).into()),
        actor: Some((&*provenance.actor).into()),
        traceparent: provenance.traceparent.as_deref().map(Into::into),
        requesthash: hash.as_ref().map(|hash| hash.as_str().into()),
        data: Some(data),
        ..cloud_event(id, &event.event_type, event.stream.as_str(), &time)
    };
    serde_json::to_writer(value, &envelope)
}

/// What every record has.
fn cloud_event<'a>(id: &'a str, kind: &'a str, subject: &'a str, time: &'a Ascii) -> Envelope<'a> {
    Envelope {
        specversion: Some(SPEC_VERSION.into()),
        logversion: Some(LOG_VERSION),
        id: Some(id.into()),
        source: Some(SOURCE.into()),
        r#type: Some(kind.into()),
        subject: Some(subject.into()),
        time: Some(time.as_str().into()),
        ..Envelope::default()
    }
}
