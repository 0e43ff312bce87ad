//! Which events a replay shows: filters as clients write them.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use super::format::{self, Columns, Format, is_member};
use domain::{StreamType, id::StreamId, shard::ShardId, timestamp::Timestamp};
use infra::{
    codec,
    log::{EventRecord, Offset},
    position::Position,
};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AnyOfBuilder, ArrayBuilder, Type},
    },
};

/// Of several positions, joined.
const BOUND_LENGTH_MAX: usize = 4_096;
/// As the header `Tradewind-Position` has it.
const TOKEN: &str = "A[Q-Za-f][A-Za-z0-9_-]*";
/// Members that lead to a condition's value.
const PATH_MAX: usize = 8;
/// Of what a stream is called: a UUID or a code.
const KEY_LENGTH_MAX: usize = 100;

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) from: Option<Bound>,
    pub(crate) to: Option<Bound>,
    pub(crate) types: Option<Types>,
    pub(crate) stream: Option<Streams>,
    pub(crate) actor: Option<Actor>,
    pub(crate) condition: Option<Condition>,
    pub(crate) personal: Personal,
    /// Events as they were written, not lifted to the newest version.
    pub(crate) raw: bool,
    pub(crate) order: Order,
    /// Goes on with what comes, and has no end.
    pub(crate) follow: bool,
    pub(crate) format: Format,
    /// Events a second.
    pub(crate) rate: Option<u32>,
    /// All that decides what is shown, as it was asked for.
    pub(crate) text: String,
}

/// What becomes of texts that tell of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Personal {
    #[default]
    Masked,
    Shown,
}

/// How the shards come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    #[default]
    Shard,
    Time,
}

/// Where a replay begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Time(Timestamp),
    /// So long ago.
    Ago(Duration),
    Position(Position),
    /// What looks like a position, and was given out nowhere.
    Strange,
}

impl Bound {
    pub(crate) fn time(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(*time),
            Self::Ago(ago) => Some(now.minus(*ago)),
            Self::Position(_) | Self::Strange => None,
        }
    }

    /// The offset after the last record that the position names in a shard.
    pub(crate) fn offset(&self, shard: ShardId) -> Option<Offset> {
        let Self::Position(position) = self else { return None };
        position.entries().find(|entry| entry.shard == shard).map(|entry| entry.next_offset)
    }

    /// Whether what lies between the two can be anything.
    pub(crate) fn is_before(&self, to: &Self, now: Timestamp) -> bool {
        match (self, to) {
            (Self::Position(from), Self::Position(_)) => from.entries().all(|entry| {
                to.offset(entry.shard).is_none_or(|offset| entry.next_offset <= offset)
            }),
            _ => match (self.time(now), to.time(now)) {
                (Some(from), Some(to)) => from <= to,
                _ => true,
            },
        }
    }
}

impl FromStr for Bound {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > BOUND_LENGTH_MAX {
            return Err(format!("at most {BOUND_LENGTH_MAX} characters").into());
        }
        if let Some(ago) = text.strip_prefix("now") {
            let ago = if ago.is_empty() { Some(Duration::ZERO) } else { duration(ago) };
            return ago.map(Self::Ago).ok_or_else(|| "now, or now-7d with s, m, h, d or w".into());
        }
        if let Ok(time) = Timestamp::parse(text.as_bytes()) {
            return Ok(Self::Time(time));
        }
        let expected = "an instant such as 2026-01-31T12:00:00Z, now-7d, or a Tradewind-Position";
        match Position::parse(text) {
            Ok(position) => Ok(Self::Position(position)),
            Err(_) if is_like_position(text) => Ok(Self::Strange),
            Err(_) => Err(expected.into()),
        }
    }
}

/// As the contract shows positions.
fn is_like_position(text: &str) -> bool {
    text.split(',').map(str::trim).all(|token| {
        matches!(token.as_bytes(), [b'A', b'Q'..=b'Z' | b'a'..=b'f', rest @ ..]
            if rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)))
    })
}

/// `-7d`
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('-')?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=9).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(unit)?))
}

/// Types of events: `order.placed`, `order.*`, several joined by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Types(Vec<String>);

impl Types {
    fn have(&self, event_type: &str) -> bool {
        let Some(name) = codec::short_name(event_type) else { return false };
        self.0.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == wanted,
        })
    }

    /// All that may be asked for.
    fn known() -> Vec<String> {
        let mut known = Vec::new();
        for stream_type in released() {
            let name = stream_type.as_str();
            known.push(format!("{name}.*"));
            known.extend(stream_type.texts().iter().map(|texts| format!("{name}.{}", texts.event)));
        }
        known
    }
}

impl FromStr for Types {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::known();
        let names: Vec<_> = text.split(',').map(str::to_owned).collect();
        match names.iter().find(|name| !known.contains(name)) {
            None => Ok(Self(names)),
            Some(other) => {
                let stream = other.split_once('.').map_or(&**other, |(stream, _)| stream);
                let near = known.iter().filter(|name| name.starts_with(&format!("{stream}.")));
                let near: Vec<_> = near.map(String::as_str).collect();
                let kinds: Vec<_> = known.iter().filter(|name| name.ends_with('*')).collect();
                let near = if near.is_empty() { format!("{kinds:?}") } else { near.join(", ") };
                Err(format!("known types, joined by commas: there is no {other:?}, but {near}")
                    .into())
            }
        }
    }
}

/// A type of streams, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) StreamType);

impl FromStr for Kind {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kind = released().find(|kind| kind.as_str() == text);
        kind.map(Self).ok_or_else(|| format!("one of {}", stream_types().replace('|', ", ")).into())
    }
}

/// What follows the type in a stream's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamKey(String);

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamKey {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_key = (1..=KEY_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        let expected = "a UUID or a code: 1 to 100 letters, digits, dots, underscores and hyphens";
        if is_key { Ok(Self(text.to_owned())) } else { Err(expected.into()) }
    }
}

/// One stream, or all of a kind: `order/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    One(StreamId),
    Of(StreamType),
}

impl Streams {
    fn have(&self, stream: &StreamId) -> bool {
        match self {
            Self::One(one) => one == stream,
            Self::Of(kind) => stream.stream_type() == Some(*kind),
        }
    }
}

impl FromStr for Streams {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a stream such as order/<id>, or order/* for all of a kind";
        let stream: StreamId = text.parse().map_err(|_invalid| expected)?;
        let kind = stream.stream_type().ok_or(expected)?;
        let key = stream.key();
        let is_key = key.len() <= 200 && key.bytes().all(|byte| byte.is_ascii_graphic());
        match key {
            "*" => Ok(Self::Of(kind)),
            _ if is_key => Ok(Self::One(stream)),
            _ => Err(expected.into()),
        }
    }
}

/// Who acted, as events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor(String);

impl FromStr for Actor {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if valid { Ok(Self(text.to_owned())) } else { Err("an actor such as guest".into()) }
    }
}

/// A value of the data: `data.channel=pos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    path: Vec<String>,
    value: String,
}

impl Condition {
    /// Asked of the data as they are shown, so that nobody learns by it what a pseudonym stands for.
    fn holds(&self, data: &[u8]) -> bool {
        serde_json::from_slice(data).is_ok_and(|data| self.finds(&data, &self.path))
    }

    fn finds(&self, value: &Value, path: &[String]) -> bool {
        match (value, path.split_first()) {
            (Value::Array(items), _) => items.iter().any(|item| self.finds(item, path)),
            (Value::Object(members), Some((name, rest))) => {
                members.get(name).is_some_and(|member| self.finds(member, rest))
            }
            (Value::String(text), None) => *text == self.value,
            (Value::Number(_) | Value::Bool(_) | Value::Null, None) => {
                let shown = value.to_string();
                shown == self.value
            }
            _ => false,
        }
    }
}

impl FromStr for Condition {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a member of the data and its value, such as data.channel=pos";
        let (path, value) = text.split_once('=').ok_or(expected)?;
        let path = path.strip_prefix("data.").ok_or(expected)?;
        let path: Vec<_> = path.split('.').map(str::to_owned).collect();
        let is_value = (1..=200).contains(&value.chars().count()) && !value.contains('\n');
        if path.len() > PATH_MAX || !path.iter().all(|name| is_member(name)) || !is_value {
            return Err(expected.into());
        }
        Ok(Self { path, value: value.to_owned() })
    }
}

impl Selection {
    /// Whether a record is asked for, as far as its envelope tells.
    pub(super) fn wants(&self, event: &EventRecord) -> bool {
        self.types.as_ref().is_none_or(|types| types.have(&event.event_type))
            && self.stream.as_ref().is_none_or(|streams| streams.have(&event.stream))
            && self.actor.as_ref().is_none_or(|Actor(actor)| **actor == *event.provenance.actor)
    }

    /// Whether an event is, as far as its data tell, which are those that are shown.
    pub(super) fn wants_data(&self, data: &[u8]) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(data))
    }

    /// The only stream that is asked for.
    pub(super) fn stream(&self) -> Option<&StreamId> {
        match &self.stream {
            Some(Streams::One(stream)) => Some(stream),
            Some(Streams::Of(_)) | None => None,
        }
    }
}

/// Read from the text of a parameter, whose schema is the pattern.
macro_rules! parameters {
    ($($type:ident: $schema:expr;)+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(|expected: Cow<'_, str>| {
                    de::Error::custom(format_args!("{expected}"))
                })
            }
        }

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {}
    )+};
}

parameters! {
    Columns: ArrayBuilder::new()
        .items(text(&format::pattern()).max_length(Some(600)))
        .min_items(Some(1))
        .max_items(Some(format::COLUMNS_MAX));
    Bound: AnyOfBuilder::new()
        .item(infra::http::shapes::Instant::schema())
        .item(text("^now(-[0-9]{1,9}[smhdw])?$").max_length(Some(14)))
        .item(text(&format!("^{TOKEN}([ \\t]*,[ \\t]*{TOKEN})*$")).max_length(Some(BOUND_LENGTH_MAX)));
    Types: ArrayBuilder::new()
        .items(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Types::known())))
        .min_items(Some(1))
        .max_items(Some(Types::known().len()));
    Kind: ObjectBuilder::new().schema_type(Type::String)
        .enum_values(Some(released().map(StreamType::as_str)));
    StreamKey: text("^[A-Za-z0-9._-]+$").max_length(Some(KEY_LENGTH_MAX));
    Streams: text(&format!("^({})/[!-~]{{1,200}}$", stream_types())).max_length(Some(220));
    Actor: text("^[!-~]{1,100}$").max_length(Some(100));
    Condition: text("^data([.][A-Za-z0-9_]{1,64}){1,8}=[^\\n\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]{1,200}$").max_length(Some(800));
}

fn released() -> impl Iterator<Item = StreamType> {
    StreamType::ALL.iter().copied().filter(|kind| kind.is_released())
}

fn stream_types() -> String {
    let kinds: Vec<_> = released().map(StreamType::as_str).collect();
    kinds.join("|")
}

fn text(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

#[cfg(test)]
mod tests {
    use infra::log::sample;

    use super::*;

    fn event(event_type: &str, stream: &str) -> EventRecord {
        sample::stored(stream.parse().unwrap(), 1, event_type, "{}")
    }

    #[track_caller]
    fn check_bound(text: &str, expected: Option<Bound>) {
        assert_eq!(text.parse::<Bound>().ok(), expected, "{text}");
    }

    #[test]
    fn bounds_are_instants_ages_and_positions() {
        let noon = Timestamp::parse(b"2026-01-31T12:00:00Z").unwrap();
        check_bound("2026-01-31T12:00:00Z", Some(Bound::Time(noon)));
        check_bound("now", Some(Bound::Ago(Duration::ZERO)));
        check_bound("now-7d", Some(Bound::Ago(Duration::from_secs(7 * 86_400))));
        let position = Position::of(ShardId::new(1), infra::log::Nonce(7), 5);
        check_bound(&position.to_string(), Some(Bound::Position(position)));
        check_bound("AQAA", Some(Bound::Strange));
        for bad in ["", "now-", "now-7", "now-7y", "now+1d", "now-+1d", "yesterday", "2026-01-31"] {
            check_bound(bad, None);
        }
    }

    #[test]
    fn what_ends_before_it_begins_is_nothing() {
        let now = Timestamp::parse(b"2026-01-31T12:00:00Z").unwrap();
        let bound = |text: &str| text.parse::<Bound>().unwrap();
        assert!(bound("now-2d").is_before(&bound("now-1d"), now));
        assert!(!bound("now-1d").is_before(&bound("now-2d"), now));
        assert!(!bound("now").is_before(&bound("2026-01-31T11:59:59Z"), now));
        let at =
            |offset| Bound::Position(Position::of(ShardId::new(1), infra::log::Nonce(7), offset));
        assert!(at(4).is_before(&at(4), now));
        assert!(!at(5).is_before(&at(4), now));
    }

    #[test]
    fn types_are_known_ones_or_all_of_a_kind() {
        let types = |text: &str| text.parse::<Types>();
        let wanted = types("order.*,stock.received").unwrap();
        assert!(wanted.have("tradewind.order.placed.v1"));
        assert!(wanted.have("tradewind.stock.received.v2"));
        assert!(!wanted.have("tradewind.stock.adjusted.v1"));
        for bad in ["", "order", "order.", "*", "order.lost", "order.*,", "orders.*", "Order.*"] {
            assert!(types(bad).is_err(), "{bad}");
        }
        let told = types("order.lost").unwrap_err();
        assert!(told.contains("order.lost") && told.contains("order.placed"), "{told}");
    }

    #[test]
    fn streams_are_one_or_all_of_a_kind() {
        let streams = |text: &str| text.parse::<Streams>();
        assert!(streams("stock/A-1").unwrap().have(&"stock/A-1".parse().unwrap()));
        assert!(!streams("stock/A-1").unwrap().have(&"stock/A-2".parse().unwrap()));
        assert!(streams("stock/*").unwrap().have(&"stock/A-2".parse().unwrap()));
        assert!(!streams("stock/*").unwrap().have(&"sku/A-2".parse().unwrap()));
        for bad in ["", "stock", "stock/", "stocks/A-1", "*/A-1", "stock/ä"] {
            assert!(streams(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_look_into_lists_and_know_numbers() {
        let data = br#"{"channel":"pos","lines":[{"sku":"A"},{"sku":"B","quantity":2}],"x":null}"#;
        let holds = |text: &str| text.parse::<Condition>().unwrap().holds(data);
        for yes in ["data.channel=pos", "data.lines.sku=B", "data.lines.quantity=2", "data.x=null"]
        {
            assert!(holds(yes), "{yes}");
        }
        for no in ["data.channel=web", "data.lines=B", "data.lines.quantity=3", "data.y=null"] {
            assert!(!holds(no), "{no}");
        }
        for bad in ["", "data", "data.channel", "channel=pos", "data.=pos", "data.a b=c", "data.a="]
        {
            assert!(bad.parse::<Condition>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event_has_to_pass_all_filters() {
        let selection = Selection {
            types: Some("order.*".parse().unwrap()),
            actor: Some("guest".parse().unwrap()),
            ..Selection::default()
        };
        let order = "order/01890a5d-ac96-774b-bcce-b302099a8057";
        assert!(selection.wants(&event("tradewind.order.placed.v1", order)));
        assert!(!selection.wants(&event("tradewind.cart.created.v1", order)));
        let mut by_staff = event("tradewind.order.placed.v1", order);
        by_staff.provenance.actor = "key:1".into();
        assert!(!selection.wants(&by_staff));
    }
}
