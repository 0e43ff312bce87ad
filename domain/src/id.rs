//! Typed identifiers. A bare `Uuid` in a signature is a swap waiting to happen.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::model::{Listed, StreamType};

/// Makes types of ids. Those that other aggregates or process managers name stand in this file, below
/// them all; that of an aggregate that nobody else knows, in the aggregate's.
macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(
            #[serde(deserialize_with = "crate::id::uuid")]
            #[schemars(with = "uuid::Uuid")]
            uuid::Uuid,
        );

        impl $name {
            #[must_use]
            pub const fn new(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }

            #[must_use]
            pub const fn uuid(self) -> uuid::Uuid {
                self.0
            }

            /// The id that follows from this one by name: the same inputs give the same id.
            #[must_use]
            pub fn derive(self, name: &str) -> uuid::Uuid {
                uuid::Uuid::new_v5(&self.0, name.as_bytes())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::id::InvalidUuid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                crate::id::parse_uuid(text).map(Self)
            }
        }
    )+};
}
pub(crate) use uuid_ids;

uuid_ids! {
    CartId,
    /// Made by [`RequestId`] or [`CommandId::of_step`]; the same in all records of a commit, and in
    /// no other commit of the log.
    CommandId,
    /// What a chain of commands and events began with.
    CorrelationId,
    /// The event or command that caused this one.
    CausationId,
    EventId,
    OrderId,
    PaymentId,
    ProductId,
    ReservationId,
    /// A step of a process: UUIDv5 of the event that asked for it, its name and whom it tells.
    StepId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 0198c0de-0000-7000-8000-000000000001")]
pub struct InvalidUuid;

/// A UUID as RFC 9562 writes it, in letters of either size. The library would also take braces, a
/// `urn:uuid:` before it and none of its hyphens: four names for one thing, of which contracts know one.
///
/// # Errors
/// If it is written in another way.
pub fn parse_uuid(text: &str) -> Result<Uuid, InvalidUuid> {
    /// Digits and hyphens. No other form has this length.
    const LENGTH: usize = 36;
    let written = Some(text).filter(|text| text.len() == LENGTH);
    written.and_then(|text| Uuid::try_parse(text).ok()).ok_or(InvalidUuid)
}

pub(crate) fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Written)
    } else {
        deserializer.deserialize_bytes(Written)
    }
}

/// Text is for readers, bytes are for stores.
struct Written;

impl de::Visitor<'_> for Written {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
        parse_uuid(text).map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Uuid, E> {
        Uuid::from_slice(bytes).map_err(E::custom)
    }
}

/// A client's request as its caller named it: what the ids of its commands and of the things that it
/// creates are derived from.
///
/// **Invariant:** one request may send commands to several streams, and one Idempotency-Key may come
/// with requests for several streams. Each stream is part of the id of the command that it gets, so
/// no two of them ever share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    id: Uuid,
    /// The caller named the request, so it may come again.
    keyed: bool,
}

impl RequestId {
    /// Under the Idempotency-Key of a caller, whose keys live in the namespace `caller`.
    #[must_use]
    pub fn keyed(caller: Uuid, key: &str) -> Self {
        Self { id: Uuid::new_v5(&caller, key.as_bytes()), keyed: true }
    }

    /// Of a caller that sent no key: `id` is of this request only.
    #[must_use]
    pub const fn unkeyed(id: Uuid) -> Self {
        Self { id, keyed: false }
    }

    /// The id of what the request asks of a stream.
    #[must_use]
    pub fn command(self, stream: &StreamId) -> CommandId {
        CommandId(if self.keyed { self.derive(stream.as_str()) } else { self.id })
    }

    /// The id of a further command that the request leads to beside the one of `main`. Neither streams
    /// nor names of steps hold a newline.
    #[must_use]
    pub fn step(self, main: &StreamId, step: &str, stream: &StreamId) -> CommandId {
        CommandId(self.derive(&format!("{main}\n{step}\n{stream}")))
    }

    /// The id of a thing of this kind that the request creates, so that one key makes one thing.
    /// `None` without a key: then any fresh id will do.
    #[must_use]
    pub fn creates(self, kind: &str) -> Option<Uuid> {
        self.keyed.then(|| self.derive(kind))
    }

    /// Whether the caller named the request, so that it may come again.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        self.keyed
    }

    fn derive(self, name: &str) -> Uuid {
        Uuid::new_v5(&self.id, name.as_bytes())
    }
}

impl CommandId {
    /// The id of what a process asks of a stream because of an event: the same however often the
    /// event is delivered.
    #[must_use]
    pub fn of_step(event: EventId, step: &str, stream: &StreamId) -> Self {
        Self(event.derive(&format!("{step}\n{stream}")))
    }
}

impl StepId {
    #[must_use]
    pub fn of(event: EventId, step: &str, target: Option<&StreamId>) -> Self {
        Self(event.derive(&format!("{step}\n{}", target.map_or("", StreamId::as_str))))
    }
}

impl CartId {
    /// The order that the cart becomes, unless staff name another one.
    #[must_use]
    pub fn order_id(self) -> OrderId {
        OrderId(self.derive("order"))
    }
}

/// A stock keeping unit's code: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SKU has 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidSku;

impl Sku {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a URL can carry it as a segment of its path: `.` and `..` mean other places, and clients
    /// take them away before they send anything. No product gets such a code, be it of more dots; those
    /// that have one stay readable.
    #[must_use]
    pub fn fits_a_path(&self) -> bool {
        self.0.bytes().any(|byte| byte != b'.')
    }
}

impl FromStr for Sku {
    type Err = InvalidSku;

    fn from_str(text: &str) -> Result<Self, InvalidSku> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        if valid { Ok(Self(text.into())) } else { Err(InvalidSku) }
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Sku {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sku {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Sku {
    fn schema_name() -> Cow<'static, str> {
        "Sku".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A stock keeping unit's code.",
            "pattern": "^[A-Za-z0-9._-]{1,64}$",
        })
    }
}

/// The identity of a stream, `<type>/<key>`: the key of its Kafka records.
///
/// The type may be one that this release does not know: the log holds streams of a later release as well,
/// whose commits count among the others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    kind: Option<StreamType>,
    text: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stream id (<type>/<key>): {0:?}")]
pub struct InvalidStreamId(String);

impl StreamId {
    /// The stream of the aggregate that bears this id.
    #[must_use]
    pub fn of<A: Listed>(id: &A::Id) -> Self {
        Self::new(A::TYPE, id)
    }

    #[must_use]
    pub fn new(kind: StreamType, key: impl fmt::Display) -> Self {
        Self { kind: Some(kind), text: format!("{}/{key}", kind.as_str()).into() }
    }

    /// `None` if it is none that this release knows.
    #[must_use]
    pub const fn stream_type(&self) -> Option<StreamType> {
        self.kind
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What follows the type: a UUID or a code.
    #[must_use]
    pub fn key(&self) -> &str {
        self.text.split_once('/').map_or("", |(_, key)| key)
    }
}

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(text: &str) -> Result<Self, InvalidStreamId> {
        let invalid = || InvalidStreamId(text.chars().take(100).collect());
        let (kind, key) = text.split_once('/').ok_or_else(invalid)?;
        let is_type = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        if !is_type(kind) || key.is_empty() {
            return Err(invalid());
        }
        Ok(Self { kind: StreamType::parse(kind), text: text.into() })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonSchema for StreamId {
    fn schema_name() -> Cow<'static, str> {
        "StreamId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The identity of a stream: its type and its key.",
            "pattern": "^[a-z_]+/[\\s\\S]+$",
        })
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sku_refuses_what_a_path_or_key_cannot_carry() {
        for bad in ["", "a/b", "a b", "ü", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Sku>(), Err(InvalidSku), "{bad}");
        }
        assert_eq!("1082185".parse::<Sku>().unwrap().as_str(), "1082185");
    }

    #[test]
    fn no_two_streams_share_a_command_id() {
        let (caller, event) = (Uuid::from_u128(1), EventId::new(Uuid::from_u128(2)));
        let streams: [StreamId; 2] = ["cart/1", "cart/2"].map(|text| text.parse().unwrap());
        let [one, two] = streams.each_ref();
        let request = RequestId::keyed(caller, "k");
        let ids = [
            request.command(one),
            request.command(two),
            request.step(one, "claim", one),
            request.step(one, "claim", two),
            request.step(two, "claim", two),
            request.step(one, "list", two),
            RequestId::keyed(caller, "other").command(one),
            RequestId::keyed(Uuid::from_u128(3), "k").command(one),
            CommandId::of_step(event, "claim", one),
            CommandId::of_step(event, "claim", two),
            CommandId::of_step(event, "list", two),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(request.command(one), RequestId::keyed(caller, "k").command(one));
    }

    #[test]
    fn a_sku_of_dots_is_no_place_in_a_url() {
        for bad in [".", "..", "..."] {
            assert!(!bad.parse::<Sku>().unwrap().fits_a_path(), "{bad}");
        }
        for good in ["A", ".a", "a.", "-", "_", "..a.."] {
            assert!(good.parse::<Sku>().unwrap().fits_a_path(), "{good}");
        }
    }

    #[test]
    fn a_uuid_is_written_in_one_way() {
        let written = "0198C0DE-0000-7000-8000-00000000000a";
        let id: CartId = written.parse().unwrap();
        assert_eq!(id.to_string(), written.to_lowercase());
        let simple = written.replace('-', "");
        let urn = format!("urn:uuid:{written}");
        let braced = format!("{{{written}}}");
        let moved = "0198c0de0-000-7000-8000-00000000000a";
        for bad in ["", &simple, &urn, &braced, moved, &format!(" {written}")] {
            assert_eq!(bad.parse::<CartId>(), Err(InvalidUuid), "{bad}");
            let json = serde_json::json!(bad);
            assert!(serde_json::from_value::<CartId>(json).is_err(), "{bad}");
        }
        let read: CartId = serde_json::from_value(serde_json::json!(written)).unwrap();
        assert_eq!(read, id);
    }

    #[test]
    fn stream_id_keeps_its_type_and_key() {
        let stream: StreamId = "stock/A-1".parse().unwrap();
        assert_eq!((stream.stream_type(), stream.key()), (Some(StreamType::Stock), "A-1"));
        let later: StreamId = "gift_card/1".parse().unwrap();
        assert_eq!((later.stream_type(), later.as_str()), (None, "gift_card/1"));
        for bad in ["stock/", "stock", "/1", "Stock/1", "st ock/1", ""] {
            assert!(bad.parse::<StreamId>().is_err(), "{bad}");
        }
    }
}
