use domain::{
    stock::Stock,
    testing::{self, golden},
};
use expect_test::expect;
use serde_json::{Value, json};

use super::*;
use crate::log::sample;

fn record(stream: &str, event_type: &str, value: &str) -> EventRecord {
    EventRecord {
        stream: stream.parse().unwrap(),
        event_type: event_type.into(),
        value: Bytes::from(value.to_owned()),
        ..sample::event(sample::PLACE, 1)
    }
}

fn received(event_type: &str, value: &str) -> Result<Event, DecodeError> {
    decode(&record("stock/A-1", event_type, value))
}

fn five_received() -> Event {
    Event::Stock(testing::event::<Stock>("received", json!({ "quantity": 5 })))
}

/// What the error says, with its source.
fn error(event_type: &str, value: &str) -> String {
    let error = received(event_type, value).unwrap_err();
    crate::telemetry::chain(&error).to_string()
}

#[test]
fn type_and_data_are_kept_apart() {
    let data = json!({ "delta": -2, "reason": "\"broken\"" });
    let event = Event::Stock(testing::event::<Stock>("adjusted", data));
    let (event_type, value) = encode(&event);
    assert_eq!(&*event_type, "tradewind.stock.adjusted.v1");
    assert_eq!(value, br#"{"delta":-2,"reason":"\"broken\""}"#.as_slice());
    assert_eq!(received(&event_type, str::from_utf8(&value).unwrap()).unwrap(), event);
}

#[test]
fn event_without_fields_has_empty_data() {
    let (event_type, value) = encode(&Event::Order(domain::order::Event::StockReserved {}));
    assert_eq!(&*event_type, "tradewind.order.stock_reserved.v1");
    assert_eq!(value, b"{}".as_slice());
    assert!(decode(&record("order/1", &event_type, "{}")).is_ok());
}

#[test]
fn what_surrounds_an_event_comes_along() {
    let record = record("stock/A-1", "tradewind.stock.received.v1", r#"{"quantity":5}"#);
    let recorded = recorded(&record).unwrap();
    assert_eq!((recorded.id, &recorded.stream, recorded.revision), (record.id, &record.stream, 1));
    assert_eq!(recorded.provenance, record.provenance);
    assert_eq!(recorded.event, five_received());
}

#[test]
fn unknown_types_are_told_apart_from_malformed_data() {
    for unknown in [
        "tradewind.stock.received.v2",
        "tradewind.stock.received.v0",
        "tradewind.stock.received.v+1",
        "tradewind.stock.received.v01",
        "tradewind.stock.received",
        "tradewind.teapot.received.v1",
        "stock.received.v1",
        "",
    ] {
        let error = received(unknown, r#"{"quantity":5}"#);
        assert!(
            matches!(&error, Err(DecodeError::UnknownType(named)) if &**named == unknown),
            "{error:?}"
        );
    }
}

#[test]
fn event_must_belong_to_its_stream() {
    let error = decode(&record("order/1", "tradewind.stock.received.v1", r#"{"quantity":5}"#));
    assert!(matches!(error, Err(DecodeError::WrongStream { .. })), "{error:?}");
}

#[test]
fn malformed_data_is_refused_with_the_reason() {
    let received = "tradewind.stock.received.v1";
    expect!["an event of type \"tradewind.stock.received.v1\" cannot be read: missing field `quantity` at line 1 column 2"].assert_eq(&error(received, "{}"));
    expect!["an event of type \"tradewind.stock.received.v1\" cannot be read: trailing characters at line 1 column 15"].assert_eq(&error(received, r#"{"quantity":5},"#));
    expect!["an event of type \"tradewind.stock.received.v1\" cannot be read: EOF while parsing a value at line 1 column 0"].assert_eq(&error(received, ""));
    expect!["an event of type \"tradewind.stock.melted.v1\" cannot be read: unknown variant `melted`, expected one of `received`, `adjusted`, `reserved`, `released`, `committed`, `returned`, `expired`"].assert_eq(&error("tradewind.stock.melted.v1", "{}"));
}

/// Every stored shape, of every version, can be read; and the newest is what is written.
#[test]
fn golden_files_decode() {
    for golden in golden::all() {
        let (stored, stream) = (golden.event_type(), golden.stream_type.as_str());
        let event = decode(&record(&format!("{stream}/1"), &stored, &golden.data))
            .unwrap_or_else(|error| panic!("{stored}: {error:?}"));
        let (event_type, value) = encode(&event);
        if *event_type == *stored {
            let json = |text: &[u8]| serde_json::from_slice::<Value>(text).expect("JSON");
            assert_eq!(json(&value), json(golden.data.as_bytes()), "{stored}");
        }
    }
}

#[test]
fn what_would_be_read_as_something_else_is_found_before_it_is_appended() {
    let event = five_received();
    let (event_type, value) = encode(&event);
    let sound = record("stock/A-1", &event_type, str::from_utf8(&value).unwrap());
    assert!(read_back(&sound, &event).is_ok());
    let cut = EventRecord { value: value.slice(..value.len() - 1), ..sound.clone() };
    assert!(matches!(read_back(&cut, &event), Err(NotReadable::Event(_))));
    let other = EventRecord { value: Bytes::from_static(br#"{"quantity":6}"#), ..sound.clone() };
    assert!(matches!(read_back(&other, &event), Err(NotReadable::Differs(_))));
    let nameless = StreamId::new(StreamType::Stock, "");
    let lost = EventRecord { stream: nameless, ..sound };
    assert!(matches!(read_back(&lost, &event), Err(NotReadable::Stream(_))));
}
