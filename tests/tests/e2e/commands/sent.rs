//! Values at and near the edges of what commands take: most are taken, some are not.

use std::ops::Range;

use chrono::{DateTime, FixedOffset};
use domain::{country, money::Currency};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

pub(super) use crate::values::{draw, runner};

pub(super) type Values = BoxedStrategy<Value>;
/// Values that may be left out.
pub(super) type Optional = BoxedStrategy<Option<Value>>;
/// A member of an object: its name and its value.
pub(super) type Member = (&'static str, Optional);

/// Characters that databases, parsers and screens are known to trip over: of one to four bytes, with
/// case and width of their own, combining, without width, written from right to left, private,
/// replaced, and the last of all.
const AWKWARD: &str =
    "aZ \t\n\"\\/'%$<é\u{301}ßİא\u{202e}\u{200d}\u{feff}\u{2028}中😀\u{e000}\u{fffd}\u{10ffff}";

/// What no text may have.
const FORBIDDEN: [char; 4] = ['\u{0}', '\u{1b}', '\u{7f}', '\u{9f}'];

/// Texts of up to `max` characters that are not blank, and some that are too long, blank or forbidden.
pub(super) fn text(max: usize) -> Values {
    prop_oneof![
        80 => kept(max),
        1 => characters(max + 1),
        1 => "[ \t\u{3000}]{0,3}",
        1 => select(&FORBIDDEN[..]).prop_map(|it| format!("a{it}")),
    ]
    .prop_map(Value::from)
    .boxed()
}

/// As [`text`], but for blank ones, which are taken, too.
pub(super) fn text_or_blank(max: usize) -> Values {
    prop_oneof![8 => text(max), 1 => "[ \t\u{3000}]{0,3}".prop_map(Value::from)].boxed()
}

/// Texts that are taken.
pub(super) fn kept(max: usize) -> BoxedStrategy<String> {
    prop_oneof![
        4 => "\\PC{1,20}",
        3 => prop::collection::vec(awkward(), 1..30).prop_map(String::from_iter),
        2 => characters(max),
    ]
    .prop_filter("not blank", |text| !text.trim().is_empty())
    .boxed()
}

fn awkward() -> impl Strategy<Value = char> {
    select(AWKWARD.chars().collect::<Vec<_>>())
}

fn characters(count: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(awkward(), count).prop_map(String::from_iter)
}

pub(super) fn sku() -> BoxedStrategy<String> {
    "[A-Za-z0-9._-]{6,64}".prop_filter("a path", |sku| sku.chars().any(|it| it != '.')).boxed()
}

pub(super) fn uuid() -> BoxedStrategy<uuid::Uuid> {
    any::<u128>().prop_map(uuid::Uuid::from_u128).boxed()
}

pub(super) fn currency() -> Values {
    let codes: Vec<_> = Currency::codes().collect();
    prop_oneof![30 => select(codes), 1 => select(vec!["XXX", "usd", ""])]
        .prop_map(Value::from)
        .boxed()
}

pub(super) fn country() -> Values {
    let codes: Vec<_> = country::codes().collect();
    prop_oneof![30 => select(codes), 1 => select(vec!["XX", "de"])].prop_map(Value::from).boxed()
}

pub(super) fn price(currency: Values) -> Values {
    let amount = prop_oneof![
        6 => 0..=i64::MAX,
        6 => select(vec![0, 1, 99, i64::from(u32::MAX), 1 << 53, (1 << 53) + 1, i64::MAX]),
        1 => select(vec![-1, i64::MIN]),
    ];
    let amount = prop_oneof![
        20 => amount.prop_map(Value::from),
        2 => select(vec![json!(5.0), json!(1e15)]),
        1 => select(vec![json!(0.5), json!(u64::MAX)]),
    ];
    object(vec![("amount", needed(amount)), ("currency", needed(currency))])
}

/// RFC 3339 in its many forms, of instants within `seconds` of Unix time and of what is `edges`.
pub(super) fn instant(seconds: Range<i64>, edges: &[&'static str]) -> Values {
    let hours = select(vec![0_i32, 1, -1, 23, -23]);
    let within = (seconds, 0..1_000_000_000_u32, hours).prop_map(|(seconds, nanos, hours)| {
        let offset = FixedOffset::east_opt(hours * 3_600 + 59 * 60 * hours.signum());
        let at = DateTime::from_timestamp(seconds, nanos).expect("an instant");
        at.with_timezone(&offset.expect("within a day")).to_rfc3339()
    });
    prop_oneof![2 => within, 1 => select(edges.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())]
        .prop_map(Value::from)
        .boxed()
}

/// An instant as it is kept: in UTC, what is less than a microsecond cut off.
pub(super) fn kept_instant(sent: &Value) -> Value {
    let text = sent.as_str().expect("an instant");
    let at = DateTime::parse_from_rfc3339(text).expect(text).to_utc();
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into()
}

/// Left out now and then, which is refused.
pub(super) fn needed(value: impl Strategy<Value = Value> + 'static) -> Optional {
    prop_oneof![60 => value.prop_map(Some), 1 => Just(None)].boxed()
}

/// Left out or null as often as not.
pub(super) fn optional(value: impl Strategy<Value = Value> + 'static) -> Optional {
    prop_oneof![6 => value.prop_map(Some), 2 => Just(None), 1 => Just(Some(Value::Null))].boxed()
}

pub(super) fn always(value: impl Strategy<Value = Value> + 'static) -> Optional {
    value.prop_map(Some).boxed()
}

pub(super) fn object(members: Vec<Member>) -> Values {
    let (names, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let object = move |values: Vec<Option<Value>>| {
        let members = names.iter().zip(values);
        let members = members.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(Map::from_iter(members))
    };
    values.prop_map(object).boxed()
}

/// Bodies of commands that need none. `None`: not a byte.
pub(super) fn nothing() -> Optional {
    let refused = select(vec![json!({"x": 1}), json!([]), json!("")]);
    prop_oneof![4 => Just(None), 4 => Just(Some(json!({}))), 1 => refused.prop_map(Some)].boxed()
}
