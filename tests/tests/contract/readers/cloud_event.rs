//! What the SDK of CloudEvents must find in a record, said without our codec.

use domain::timestamp::Timestamp;
use infra::log::{BarrierRecord, ClaimRecord, EventRecord, OutgoingRecord, Place};
use serde_json::{Map, Value, json};

use super::data;

pub(super) fn cloud_event(record: &OutgoingRecord) -> Value {
    match record {
        OutgoingRecord::Claim(claim) => of_claim(claim),
        OutgoingRecord::Barrier(barrier) => of_barrier(barrier),
        OutgoingRecord::Event(event) => of_event(event),
    }
}

fn of_claim(ClaimRecord { nonce, info }: &ClaimRecord) -> Value {
    let extensions = json!({"kind": "claim", "claim": nonce});
    let id = format!("claim-{nonce}");
    event(&id, "tradewind.log.claim.v1", "claim", info.started_at, json!(info), extensions)
}

fn of_barrier(BarrierRecord { place, recorded_at, outcomes }: &BarrierRecord) -> Value {
    let extensions = merged(json!({"kind": "barrier"}), of_place(place));
    let id = format!("barrier-{}-{}", place.claim, place.seq);
    let data = json!({"outcomes": outcomes});
    event(&id, "tradewind.log.barrier.v1", "barrier", *recorded_at, data, extensions)
}

fn of_event(record: &EventRecord) -> Value {
    let provenance = &record.provenance;
    let command = provenance.command_id.uuid();
    let unless_command = |id| Some(id).filter(|id| *id != command);
    let extensions = json!({
        "kind": "event",
        "revision": record.revision,
        "commandid": command,
        "correlationid": unless_command(provenance.correlation_id.uuid()),
        "causationid": unless_command(provenance.causation_id.uuid()),
        "actor": provenance.actor,
        "traceparent": provenance.traceparent,
        "requesthash": record.request_hash,
    });
    let extensions = merged(extensions, of_place(&record.place));
    let (id, stream) = (record.id.to_string(), record.stream.as_str());
    event(&id, &record.event_type, stream, record.recorded_at, data(record), extensions)
}

fn of_place(&Place { epoch, claim, seq, index, count }: &Place) -> Value {
    let index = Some(index).filter(|index| *index != 0);
    let count = Some(count).filter(|count| *count != 1);
    json!({"epoch": epoch, "claim": claim, "seq": seq, "index": index, "count": count})
}

/// The SDK shows a record's key as an extension.
fn event(
    id: &str,
    kind: &str,
    subject: &str,
    at: Timestamp,
    data: Value,
    extensions: Value,
) -> Value {
    let extensions = merged(extensions, json!({"logversion": 2, "partitionkey": subject}));
    json!({
        "id": id, "source": "/tradewind", "type": kind, "subject": subject, "time": at,
        "extensions": extensions, "data": data,
    })
}

/// The members of both, but for what is absent.
fn merged(first: Value, second: Value) -> Value {
    let members = [first, second].into_iter().flat_map(|object| match object {
        Value::Object(members) => members,
        _ => Map::new(),
    });
    Value::Object(members.filter(|(_, value)| !value.is_null()).collect())
}
