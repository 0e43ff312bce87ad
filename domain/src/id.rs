//! Typed identifiers. A bare `Uuid` in a signature is a swap waiting to happen.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::model::StreamType;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The id that follows from this one by name: the same inputs give the same id.
            #[must_use]
            pub fn derive(self, name: &str) -> Uuid {
                Uuid::new_v5(&self.0, name.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

uuid_ids! {
    ApiKeyId,
    CartId,
    /// UUIDv5 of the caller and its Idempotency-Key; the same in all records of a commit.
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

/// The identity of a stream, `<type>/<key>`: the key of its Kafka records.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    kind: StreamType,
    text: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stream id (<type>/<key>): {0:?}")]
pub struct InvalidStreamId(String);

impl StreamId {
    #[must_use]
    pub fn new(kind: StreamType, key: impl fmt::Display) -> Self {
        Self { kind, text: format!("{}/{key}", kind.as_str()).into() }
    }

    #[must_use]
    pub fn stream_type(&self) -> StreamType {
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
        let kind = StreamType::parse(kind).ok_or_else(invalid)?;
        if key.is_empty() { Err(invalid()) } else { Ok(Self { kind, text: text.into() }) }
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

macro_rules! stream_of {
    ($($id:ident => $kind:ident),+ $(,)?) => {$(
        impl $id {
            /// The stream of the aggregate that bears this id.
            #[must_use]
            pub fn stream(self) -> StreamId {
                StreamId::new(StreamType::$kind, self)
            }
        }
    )+};
}

stream_of! {
    ApiKeyId => ApiKey,
    CartId => Cart,
    OrderId => Order,
    PaymentId => Payment,
    ProductId => Product,
}

impl Sku {
    /// The stream that claims this code for one product.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        StreamId::new(StreamType::Sku, self)
    }

    /// The stream of what is on hand of it.
    #[must_use]
    pub fn stock_stream(&self) -> StreamId {
        StreamId::new(StreamType::Stock, self)
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
    fn stream_id_keeps_its_type_and_key() {
        let stream: StreamId = "stock/A-1".parse().unwrap();
        assert_eq!((stream.stream_type(), stream.key()), (StreamType::Stock, "A-1"));
        assert!("nothing/1".parse::<StreamId>().is_err());
        assert!("stock/".parse::<StreamId>().is_err());
    }
}
