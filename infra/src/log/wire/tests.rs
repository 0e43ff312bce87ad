use std::borrow::Cow;

use bytes::Bytes;
use domain::id::{CausationId, CommandId, CorrelationId};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::log::{
    Body, ForeignReason, Nonce, OutcomeRecord, OutgoingRecord, Place, RequestHash,
    memory::RawRecord, sample,
};

const PLACE: Place = Place { epoch: 12, claim: Nonce(0xfeed), seq: 34, index: 0, count: 1 };

/// An event that has no attribute which may be absent.
fn bare() -> OutgoingRecord {
    OutgoingRecord::Event(Box::new(sample::event(PLACE, 5)))
}

/// An event that has all attributes.
fn full() -> OutgoingRecord {
    let mut event = sample::event(Place { index: 1, count: 2, ..PLACE }, 5);
    event.provenance.correlation_id = CorrelationId::new(Uuid::from_u128(6));
    event.provenance.causation_id = CausationId::new(Uuid::from_u128(7));
    event.provenance.traceparent = Some("00-11-22-01".into());
    event.request_hash = Some(RequestHash([0xab; 16]));
    event.value = Bytes::from_static(br#"{"quantity":2,"sku":"tea-1"}"#);
    OutgoingRecord::Event(Box::new(event))
}

fn claim() -> OutgoingRecord {
    OutgoingRecord::Claim(sample::claim(PLACE.claim))
}

fn barrier() -> OutgoingRecord {
    let mut barrier = sample::barrier(PLACE);
    barrier.outcomes.push(OutcomeRecord {
        command_id: CommandId::new(Uuid::from_u128(5)),
        request_hash: RequestHash([0xab; 16]),
        status: 422,
        body: json!({"code": "cart.empty"}),
    });
    OutgoingRecord::Barrier(barrier)
}

fn all() -> [OutgoingRecord; 4] {
    [bare(), full(), claim(), barrier()]
}

/// The record as it lies in Kafka, which it must come back from.
#[track_caller]
fn golden(record: &OutgoingRecord, expected: &Expect) {
    let raw = RawRecord::of(record).unwrap();
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let (key, value) = (raw.key.as_ref().map(text).unwrap(), raw.value.as_ref().map(text).unwrap());
    expected.assert_eq(&format!("{key}\n{value}"));
    assert_eq!(
        raw.headers,
        [("content-type".into(), Bytes::from_static(b"application/cloudevents+json"))]
    );
    assert_eq!(raw.decode(), Ok(record.clone().at(0).body));
}

#[test]
fn claims_are_cloud_events() {
    golden(
        &claim(),
        &expect![[r#"
        claim
        {"specversion":"1.0","logversion":2,"kind":"claim","id":"claim-000000000000feed","source":"/tradewind","type":"tradewind.log.claim.v1","subject":"claim","time":"2026-01-01T00:00:00.000001Z","claim":"000000000000feed","data":{"node":"node-1","url":"http://node-1:8080","started_at":"2026-01-01T00:00:00.000001Z","software":"tradewind/0.1.0"}}"#]],
    );
}

#[test]
fn barriers_are_cloud_events() {
    golden(
        &barrier(),
        &expect![[r#"
        barrier
        {"specversion":"1.0","logversion":2,"kind":"barrier","id":"barrier-000000000000feed-34","source":"/tradewind","type":"tradewind.log.barrier.v1","subject":"barrier","time":"2026-01-01T00:00:00.000003Z","epoch":12,"claim":"000000000000feed","seq":34,"data":{"outcomes":[{"command_id":"00000000-0000-0000-0000-000000000005","request_hash":"abababababababababababababababab","status":422,"body":{"code":"cart.empty"}}]}}"#]],
    );
}

/// What fuzzing found: nobody writes such a barrier, and what is read of it is written again as it was.
#[test]
fn a_barrier_keeps_its_place() {
    let OutgoingRecord::Barrier(mut barrier) = barrier() else { panic!("a barrier") };
    barrier.place = Place { index: 1, count: 3, ..barrier.place };
    let raw = RawRecord::of(&OutgoingRecord::Barrier(barrier.clone())).unwrap();
    assert_eq!(raw.decode(), Ok(Body::Barrier(barrier)));
}

/// What fuzzing found: the nearest number is not always what a quick parser makes of its shortest text.
#[test]
fn numbers_of_an_answer_come_back_to_the_last_digit() {
    let OutgoingRecord::Barrier(mut barrier) = barrier() else { panic!("a barrier") };
    barrier.outcomes[0].body = json!({ "weight": 3.444_444_444_444_444_5e53 });
    let raw = RawRecord::of(&OutgoingRecord::Barrier(barrier.clone())).unwrap();
    assert_eq!(raw.decode(), Ok(Body::Barrier(barrier)));
}

#[test]
fn events_are_cloud_events() {
    golden(
        &bare(),
        &expect![[r#"
        order/00000000-0000-0000-0000-000000000005
        {"specversion":"1.0","logversion":2,"kind":"event","id":"00000000-0000-0000-0000-000000000005","source":"/tradewind","type":"tradewind.order.stock_reserved.v1","subject":"order/00000000-0000-0000-0000-000000000005","time":"2026-01-01T00:00:00.000002Z","epoch":12,"claim":"000000000000feed","seq":34,"revision":1,"commandid":"00000000-0000-0000-0000-000000000005","actor":"guest","data":{}}"#]],
    );
    golden(
        &full(),
        &expect![[r#"
        order/00000000-0000-0000-0000-000000000005
        {"specversion":"1.0","logversion":2,"kind":"event","id":"00000000-0000-0000-0000-000000000005","source":"/tradewind","type":"tradewind.order.stock_reserved.v1","subject":"order/00000000-0000-0000-0000-000000000005","time":"2026-01-01T00:00:00.000002Z","epoch":12,"claim":"000000000000feed","seq":34,"index":1,"count":2,"revision":2,"commandid":"00000000-0000-0000-0000-000000000005","correlationid":"00000000-0000-0000-0000-000000000006","causationid":"00000000-0000-0000-0000-000000000007","actor":"guest","traceparent":"00-11-22-01","requesthash":"abababababababababababababababab","data":{"quantity":2,"sku":"tea-1"}}"#]],
    );
}

#[test]
fn what_an_event_may_lack_is_there_when_it_tells_something() {
    let with = |change: &dyn Fn(&mut crate::log::EventRecord)| {
        let OutgoingRecord::Event(mut event) = bare() else { panic!("an event") };
        change(&mut event);
        OutgoingRecord::Event(event)
    };
    let check = |name: &str, record: OutgoingRecord| {
        let (had, has) = (attributes(&bare()), attributes(&record));
        let more: Vec<_> = has.keys().filter(|key| !had.contains_key(*key)).collect();
        assert_eq!(more, [name]);
        let raw = RawRecord::of(&record).unwrap();
        assert_eq!(raw.decode(), Ok(record.at(0).body));
    };
    let other = Uuid::from_u128(6);
    check("count", with(&|event| event.place.count = 2));
    check("correlationid", with(&|it| it.provenance.correlation_id = CorrelationId::new(other)));
    check("causationid", with(&|it| it.provenance.causation_id = CausationId::new(other)));
    check("traceparent", with(&|it| it.provenance.traceparent = Some("00-1".into())));
    check("requesthash", with(&|it| it.request_hash = Some(RequestHash([1; 16]))));
}

fn attributes(record: &OutgoingRecord) -> serde_json::Map<String, Value> {
    let value = RawRecord::of(record).unwrap().value.unwrap();
    let Ok(Value::Object(attributes)) = serde_json::from_slice(&value) else { panic!("an object") };
    attributes
}

/// Its commit counts, whoever knows what it is about.
#[test]
fn an_event_of_a_later_releases_aggregate_is_an_event() {
    let OutgoingRecord::Event(mut event) = full() else { panic!("an event") };
    event.stream = "gift_card/1".parse().unwrap();
    event.event_type = "tradewind.gift_card.issued.v1".into();
    let raw = RawRecord::of(&OutgoingRecord::Event(event.clone())).unwrap();
    assert_eq!(raw.decode(), Ok(Body::Event(event)));
}

#[test]
fn order_and_further_attributes_do_not_matter() {
    for record in all() {
        let mut raw = RawRecord::of(&record).unwrap();
        let mut attributes: Vec<_> = attributes(&record).into_iter().collect();
        attributes.reverse();
        attributes.push(("partitionkey".to_owned(), json!({"any": ["thing", 1.5]})));
        let members: Vec<_> =
            attributes.iter().map(|(name, value)| format!("{name:?} : {value}")).collect();
        raw.value = Some(format!(" {{ {} }} ", members.join(" ,\n")).into());
        raw.headers.push((Cow::Borrowed("x-more"), Bytes::from_static(b"anything")));
        assert_eq!(raw.decode(), Ok(record.at(0).body));
    }
}

/// The bytes of data are what readers of a type compare and keep.
#[test]
fn data_come_back_byte_for_byte() {
    let OutgoingRecord::Event(mut event) = bare() else { panic!("an event") };
    event.value = r#"{"a" : 1.50, "a":[ ], "text":"„\u0000\"}"}"#.into();
    let raw = RawRecord::of(&OutgoingRecord::Event(event.clone())).unwrap();
    assert_eq!(raw.decode(), Ok(Body::Event(event)));
}

#[test]
fn what_is_not_json_is_not_appended() {
    let OutgoingRecord::Event(mut event) = bare() else { panic!("an event") };
    for bad in ["", "{", "{} {}", "\u{0}", "{\"a\":1}}", " null "] {
        event.value = bad.into();
        let record = OutgoingRecord::Event(event.clone());
        assert!(RawRecord::of(&record).is_err(), "{bad}");
    }
}

/// What becomes of a record whose envelope is this text.
#[track_caller]
fn check(record: &OutgoingRecord, envelope: impl Into<Bytes>, expected: ForeignReason) {
    let value = Some(envelope.into());
    let raw = RawRecord { value, ..RawRecord::of(record).unwrap() };
    assert_eq!(raw.decode(), Ok(Body::Foreign(expected)), "{raw:?}");
}

fn with(record: &OutgoingRecord, name: &str, value: Value) -> String {
    let mut attributes = attributes(record);
    attributes.insert(name.to_owned(), value);
    Value::Object(attributes).to_string()
}

#[test]
fn a_record_without_the_header_is_foreign() {
    for record in all() {
        let raw = RawRecord::of(&record).unwrap();
        for other in [None, Some("application/json"), Some("application/cloudevents+avro")] {
            let headers = other.map(|value| (Cow::Borrowed("content-type"), Bytes::from(value)));
            let raw = RawRecord { headers: headers.into_iter().collect(), ..raw.clone() };
            assert_eq!(raw.decode(), Ok(Body::Foreign(ForeignReason::ContentType)));
        }
        let mut twice = raw;
        let last = twice.headers.clone();
        twice.headers.insert(0, (Cow::Borrowed("content-type"), Bytes::from_static(b"text/html")));
        assert_eq!(twice.decode(), Ok(record.at(0).body), "the last one of {last:?} counts");
    }
}

#[test]
fn an_envelope_is_an_object_in_json() {
    for record in all() {
        let good = RawRecord::of(&record).unwrap();
        let raw = RawRecord { value: None, ..good.clone() };
        assert_eq!(raw.decode(), Ok(Body::Foreign(ForeignReason::EnvelopeInvalid)));
        let text = String::from_utf8(good.value.unwrap().to_vec()).unwrap();
        let bad = [
            String::new(),
            "null".to_owned(),
            "[\"1.0\",2]".to_owned(),
            text[..text.len() - 1].to_owned(),
            format!("{text}{text}"),
            text.replace("\"specversion\"", "specversion"),
            text.replace("node-1", "node\u{0}").replace("guest", "gu\u{0}st").replace("cart", "\n"),
            "[".repeat(100_000),
        ];
        for bad in bad {
            check(&record, bad, ForeignReason::EnvelopeInvalid);
        }
        let mut bytes = text.into_bytes();
        bytes.insert(bytes.len() - 3, 0xff);
        check(&record, bytes, ForeignReason::EnvelopeInvalid);
    }
}

#[test]
fn a_record_without_an_attribute_of_its_kind_is_foreign() {
    const OPTIONAL: [&str; 6] =
        ["index", "count", "correlationid", "causationid", "traceparent", "requesthash"];
    // Of claims and barriers, these follow from the rest.
    const DERIVED: [&str; 2] = ["id", "subject"];
    for record in all() {
        for name in attributes(&record).keys() {
            let mut attributes = attributes(&record);
            attributes.remove(name);
            let value = Some(Value::Object(attributes).to_string().into());
            let raw = RawRecord { value, ..RawRecord::of(&record).unwrap() };
            let is_event = matches!(record, OutgoingRecord::Event(_));
            let is_claim = matches!(record, OutgoingRecord::Claim(_));
            let may_lack = OPTIONAL.contains(&&**name)
                || !is_event && DERIVED.contains(&&**name)
                || is_claim && name == "time";
            let of_commit = Body::Foreign(ForeignReason::AttributeInvalid);
            let found = raw.decode().unwrap();
            if name == "count" {
                assert_eq!(found, of_commit, "an index of 1 is beyond a commit of one record");
            } else {
                let missing = found == Body::Foreign(ForeignReason::AttributeMissing);
                assert_eq!(missing, !may_lack, "{name} of {record:?}");
            }
        }
    }
}

#[test]
fn malformed_attributes_make_a_record_foreign() {
    let cases = [
        ("specversion", json!("0.3")),
        ("logversion", json!("2")),
        ("source", json!("/elsewhere")),
        ("kind", json!("rumour")),
        ("id", json!("5")),
        ("type", json!(5)),
        ("subject", json!({})),
        ("time", json!("yesterday")),
        ("epoch", json!(-1)),
        ("epoch", json!(9_223_372_036_854_775_808_u64)),
        ("epoch", json!("12")),
        ("claim", json!("feed")),
        ("claim", json!("000000000000FEED")),
        ("seq", json!(0)),
        ("seq", json!(34.0)),
        ("seq", json!(true)),
        ("index", json!(2)),
        ("index", json!(4_294_967_296_u64)),
        ("count", json!(0)),
        ("count", json!(1)),
        ("revision", json!(0)),
        ("commandid", json!("x")),
        ("correlationid", json!("")),
        ("causationid", json!([])),
        ("actor", json!(["guest"])),
        ("traceparent", json!(1)),
        ("requesthash", json!("abab")),
    ];
    for (name, value) in cases {
        check(&full(), with(&full(), name, value), ForeignReason::AttributeInvalid);
    }
    let claim_type = json!("tradewind.log.claim.v2");
    check(&claim(), with(&claim(), "type", claim_type.clone()), ForeignReason::AttributeInvalid);
    check(&barrier(), with(&barrier(), "type", claim_type), ForeignReason::AttributeInvalid);
}

#[test]
fn an_attribute_comes_once() {
    for record in all() {
        let value = RawRecord::of(&record).unwrap().value.unwrap();
        let text = String::from_utf8(value.to_vec()).unwrap();
        for (name, value) in attributes(&record) {
            let twice = text.replacen('{', &format!("{{{name:?}:{value},"), 1);
            check(&record, twice, ForeignReason::AttributeInvalid);
        }
    }
}

#[test]
fn key_must_fit_the_envelope() {
    for record in all() {
        for key in [None, Some(Bytes::from_static(b"order/other"))] {
            let raw = RawRecord { key, ..RawRecord::of(&record).unwrap() };
            assert_eq!(raw.decode(), Ok(Body::Foreign(ForeignReason::KeyMismatch)));
        }
    }
}

#[test]
fn data_of_claims_and_barriers_must_fit_the_kind() {
    for record in [claim(), barrier()] {
        for other in [json!({}), json!("text"), json!({"outcomes": [{}]})] {
            check(&record, with(&record, "data", other), ForeignReason::DataInvalid);
        }
    }
}

#[test]
fn another_log_version_is_told_only_of_an_otherwise_valid_record() {
    for record in all() {
        let value = Some(with(&record, "logversion", json!(3)).into());
        let mut raw = RawRecord { value, ..RawRecord::of(&record).unwrap() };
        assert_eq!(raw.decode(), Err(3));
        raw.key = None;
        assert_eq!(raw.decode(), Ok(Body::Foreign(ForeignReason::KeyMismatch)));
    }
}

#[test]
fn a_topic_of_the_first_scheme_is_told_apart_from_foreign_records() {
    let header = |name, value| (Cow::Borrowed(name), Bytes::from_static(value));
    let of_scheme_1 = vec![
        header("ce_specversion", b"1.0"),
        header("ce_source", b"/tradewind"),
        header("content-type", b"application/json"),
        header("ce_logversion", b"1"),
    ];
    let raw = RawRecord { headers: of_scheme_1.clone(), ..RawRecord::default() };
    assert_eq!(raw.decode(), Err(1));
    for missing in [1, 3] {
        let mut headers = of_scheme_1.clone();
        headers.remove(missing);
        let raw = RawRecord { headers, ..RawRecord::default() };
        assert_eq!(raw.decode(), Ok(Body::Foreign(ForeignReason::ContentType)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        at in 0_usize..700,
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut raw = RawRecord::of(&full()).unwrap();
        raw.key = key.map(Bytes::from).or(raw.key);
        let mut value = raw.value.unwrap().to_vec();
        let at = at.min(value.len());
        let end = (at + bytes.len()).min(value.len());
        value.splice(at..end, bytes);
        raw.value = Some(value.into());
        prop_assert!(raw.decode().is_ok_and(|body| !matches!(body, Body::Claim(_))));
    }

    #[test]
    fn any_place_survives(epoch in 0..i64::MAX, claim: u64, seq in 1..u64::MAX, index in 0..u32::MAX) {
        let place = Place { epoch, claim: Nonce(claim), seq, index, count: u32::MAX };
        let record = OutgoingRecord::Event(Box::new(sample::event(place, 1)));
        let raw = RawRecord::of(&record).unwrap();
        prop_assert_eq!(raw.decode().unwrap(), record.at(0).body);
    }

    #[test]
    fn any_texts_survive(actor: String, trace: String, data: String) {
        let OutgoingRecord::Event(mut event) = bare() else { panic!("an event") };
        event.provenance.actor = actor.into();
        event.provenance.traceparent = Some(trace.into());
        event.value = json!({ "text": data }).to_string().into();
        let raw = RawRecord::of(&OutgoingRecord::Event(event.clone())).unwrap();
        prop_assert_eq!(raw.decode(), Ok(Body::Event(event)));
    }
}
