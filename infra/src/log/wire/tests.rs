use std::borrow::Cow;

use bytes::Bytes;
use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::log::{
    Body, ForeignReason, Nonce, OutcomeRecord, OutgoingRecord, Place, RequestHash,
    memory::RawRecord, sample,
};

const PLACE: Place = Place { epoch: 12, claim: Nonce(0xfeed), seq: 34, index: 0, count: 2 };

fn event() -> OutgoingRecord {
    let mut event = sample::event(PLACE, 5);
    event.provenance.traceparent = Some("00-11-22-01".into());
    event.request_hash = Some(RequestHash([0xab; 16]));
    OutgoingRecord::Event(Box::new(event))
}

fn claim() -> OutgoingRecord {
    OutgoingRecord::Claim(sample::claim(PLACE.claim))
}

fn barrier() -> OutgoingRecord {
    let mut barrier = sample::barrier(Place { count: 1, ..PLACE });
    barrier.outcomes.push(OutcomeRecord {
        command_id: domain::id::CommandId::new(uuid::Uuid::from_u128(5)),
        request_hash: RequestHash([0xab; 16]),
        status: 422,
        body: serde_json::json!({"code": "cart.empty"}),
    });
    OutgoingRecord::Barrier(barrier)
}

fn decode(raw: &RawRecord) -> Result<Body, UnsupportedVersion> {
    let headers = raw.headers.iter().map(|(name, value)| (&**name, Some(&**value)));
    Decoder::default().decode(&Raw::new(raw.key.as_deref(), raw.value.as_deref(), headers))
}

fn lines(record: &OutgoingRecord) -> String {
    let raw = RawRecord::of(record).unwrap();
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines = format!("{}\n", raw.key.as_ref().map(text).unwrap());
    for (name, value) in &raw.headers {
        lines += &format!("  {name}: {}\n", text(value));
    }
    lines + &raw.value.as_ref().map(text).unwrap()
}

#[test]
fn events_are_cloud_events() {
    expect![[r#"
        order/00000000-0000-0000-0000-000000000005
          ce_specversion: 1.0
          ce_id: 00000000-0000-0000-0000-000000000005
          ce_source: /tradewind
          ce_type: tradewind.order.stock_reserved.v1
          ce_subject: order/00000000-0000-0000-0000-000000000005
          ce_time: 2026-01-01T00:00:00.000002Z
          content-type: application/json
          ce_logversion: 1
          ce_kind: event
          ce_epoch: 12
          ce_claim: 000000000000feed
          ce_seq: 34
          ce_index: 0
          ce_count: 2
          ce_revision: 1
          ce_commandid: 00000000-0000-0000-0000-000000000005
          ce_correlationid: 00000000-0000-0000-0000-000000000005
          ce_causationid: 00000000-0000-0000-0000-000000000005
          ce_actor: guest
          ce_traceparent: 00-11-22-01
          ce_requesthash: abababababababababababababababab
        {}"#]]
    .assert_eq(&lines(&event()));
}

/// Its commit counts, whoever knows what it is about.
#[test]
fn an_event_of_a_later_releases_aggregate_is_an_event() {
    let OutgoingRecord::Event(mut event) = event() else { panic!("an event") };
    event.stream = "gift_card/1".parse().unwrap();
    event.event_type = "tradewind.gift_card.issued.v1".into();
    let raw = RawRecord::of(&OutgoingRecord::Event(event.clone())).unwrap();
    assert_eq!(decode(&raw), Ok(Body::Event(event)));
}

#[test]
fn claims_are_cloud_events() {
    expect![[r#"
        claim
          ce_specversion: 1.0
          ce_id: claim-000000000000feed
          ce_source: /tradewind
          ce_type: tradewind.log.claim.v1
          ce_subject: claim
          ce_time: 2026-01-01T00:00:00.000001Z
          content-type: application/json
          ce_logversion: 1
          ce_kind: claim
          ce_claim: 000000000000feed
        {"node":"node-1","url":"http://node-1:8080","started_at":"2026-01-01T00:00:00.000001Z","software":"tradewind/0.1.0"}"#]]
    .assert_eq(&lines(&claim()));
}

#[test]
fn barriers_are_cloud_events() {
    expect![[r#"
        barrier
          ce_specversion: 1.0
          ce_id: barrier-000000000000feed-34
          ce_source: /tradewind
          ce_type: tradewind.log.barrier.v1
          ce_subject: barrier
          ce_time: 2026-01-01T00:00:00.000003Z
          content-type: application/json
          ce_logversion: 1
          ce_kind: barrier
          ce_epoch: 12
          ce_claim: 000000000000feed
          ce_seq: 34
          ce_index: 0
          ce_count: 1
        {"outcomes":[{"command_id":"00000000-0000-0000-0000-000000000005","request_hash":"abababababababababababababababab","status":422,"body":{"code":"cart.empty"}}]}"#]]
    .assert_eq(&lines(&barrier()));
}

#[test]
fn order_of_headers_does_not_matter_and_the_last_of_a_name_counts() {
    let mut raw = RawRecord::of(&event()).unwrap();
    raw.headers.reverse();
    assert_eq!(decode(&raw).unwrap(), event().at(0).body);
    raw.headers.insert(0, (Cow::Borrowed("ce_actor"), Bytes::from_static(b"nobody")));
    raw.headers.push((Cow::Borrowed("x-more"), Bytes::from_static(b"anything")));
    assert_eq!(decode(&raw).unwrap(), event().at(0).body);
}

/// Changes a good record and tells what becomes of it.
#[track_caller]
fn check(record: OutgoingRecord, change: impl FnOnce(&mut RawRecord), expected: ForeignReason) {
    let mut raw = RawRecord::of(&record).unwrap();
    change(&mut raw);
    assert_eq!(decode(&raw), Ok(Body::Foreign(expected)));
}

fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut RawRecord) {
    move |raw| {
        let (_, old) = raw.headers.iter_mut().find(|(known, _)| known == name).unwrap();
        *old = Bytes::from_static(value.as_bytes());
    }
}

#[test]
fn record_without_a_header_of_its_kind_is_foreign() {
    for record in [event(), claim(), barrier()] {
        let names = RawRecord::of(&record).unwrap().headers;
        for (name, _) in &names {
            let mut raw = RawRecord::of(&record).unwrap();
            raw.headers.retain(|(known, _)| known != name);
            let optional = ["ce_traceparent", "ce_requesthash"].contains(&&**name);
            // Of claims and barriers, these follow from the rest.
            let derived = !matches!(record, OutgoingRecord::Event(_))
                && ["ce_id", "ce_subject"].contains(&&**name);
            let of_claim = matches!(record, OutgoingRecord::Claim(_)) && name == "ce_time";
            let foreign = decode(&raw) == Ok(Body::Foreign(ForeignReason::HeaderMissing));
            assert_eq!(foreign, !(optional || derived || of_claim), "{name}");
        }
    }
}

#[test]
fn malformed_headers_make_a_record_foreign() {
    let cases = [
        ("ce_specversion", "0.3"),
        ("ce_source", "/elsewhere"),
        ("content-type", "text/plain"),
        ("ce_kind", "rumour"),
        ("ce_id", "5"),
        ("ce_time", "yesterday"),
        ("ce_epoch", "-1"),
        ("ce_epoch", "9223372036854775808"),
        ("ce_claim", "feed"),
        ("ce_seq", "0"),
        ("ce_seq", "+34"),
        ("ce_index", "2"),
        ("ce_index", "4294967296"),
        ("ce_count", "0"),
        ("ce_revision", "0"),
        ("ce_commandid", "x"),
        ("ce_requesthash", "abab"),
    ];
    for (name, value) in cases {
        check(event(), set(name, value), ForeignReason::HeaderInvalid);
    }
    let invalid = Bytes::from_static(b"\xff");
    let actor = |raw: &mut RawRecord| raw.headers.push((Cow::Borrowed("ce_actor"), invalid));
    check(event(), actor, ForeignReason::HeaderInvalid);
    check(claim(), set("ce_type", "tradewind.log.claim.v2"), ForeignReason::HeaderInvalid);
    check(barrier(), set("ce_type", "tradewind.log.claim.v1"), ForeignReason::HeaderInvalid);
}

#[test]
fn key_must_fit_the_headers() {
    for record in [event(), claim(), barrier()] {
        check(record.clone(), |raw| raw.key = None, ForeignReason::KeyMismatch);
        let other = Bytes::from_static(b"order/other");
        check(record, |raw| raw.key = Some(other), ForeignReason::KeyMismatch);
    }
}

#[test]
fn value_must_be_there_and_fit_the_kind() {
    for record in [event(), claim(), barrier()] {
        check(record, |raw| raw.value = None, ForeignReason::ValueInvalid);
    }
    for record in [claim(), barrier()] {
        let other = Bytes::from_static(b"{}");
        check(record, |raw| raw.value = Some(other), ForeignReason::ValueInvalid);
    }
}

#[test]
fn another_log_version_is_told_only_of_an_otherwise_valid_record() {
    for record in [event(), claim(), barrier()] {
        let mut raw = RawRecord::of(&record).unwrap();
        set("ce_logversion", "2")(&mut raw);
        assert_eq!(decode(&raw), Err(UnsupportedVersion("2".to_owned())));
        raw.key = None;
        assert_eq!(decode(&raw), Ok(Body::Foreign(ForeignReason::KeyMismatch)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        header in 0..HEADERS_MAX,
        value in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut raw = RawRecord::of(&event()).unwrap();
        raw.key = key.map(Bytes::from).or(raw.key);
        raw.headers.push((Cow::Borrowed(Header::NAMES[header]), Bytes::from(value)));
        prop_assert!(decode(&raw).is_ok() || header == Header::LogVersion as usize);
    }

    #[test]
    fn any_place_survives(epoch in 0..i64::MAX, claim: u64, seq in 1..u64::MAX, index in 0..u32::MAX) {
        let place = Place { epoch, claim: Nonce(claim), seq, index, count: u32::MAX };
        let record = OutgoingRecord::Event(Box::new(sample::event(place, 1)));
        let raw = RawRecord::of(&record).unwrap();
        prop_assert_eq!(decode(&raw).unwrap(), record.at(0).body);
    }
}
