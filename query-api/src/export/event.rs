//! A line of a replay: the event, and where it stands in the log.

use std::borrow::Cow;

use domain::{
    id::StreamId,
    shard::shard_of,
    timestamp::{InvalidTime, Timestamp},
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What every type's name begins with.
const PREFIX: &str = "tradewind.";

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) subject: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) time: Cow<'a, str>,
    pub(super) seq: i64,
    #[serde(default)]
    pub(super) index: i64,
    pub(super) revision: i64,
    #[serde(borrow)]
    pub(super) commandid: Cow<'a, str>,
    /// The command, where absent; so is the next.
    #[serde(borrow, default)]
    pub(super) correlationid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) causationid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) actor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

/// The type of an event without what all of them have: `order.placed`, version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventType<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: i64,
}

/// A line that is no event of this log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidLine {
    #[error("a line is no event: {0}")]
    Json(#[from] serde_json::Error),
    #[error("an event's time is none: {0}")]
    Time(#[from] InvalidTime),
    #[error("{0:?} is no type of an event")]
    Type(String),
    #[error("{0:?} is no stream")]
    Stream(String),
}

impl<'a> Event<'a> {
    pub(super) fn read(line: &'a [u8]) -> Result<Self, InvalidLine> {
        Ok(serde_json::from_slice(line)?)
    }

    pub(super) fn event_type(&self) -> Result<EventType<'_>, InvalidLine> {
        EventType::parse(&self.r#type).ok_or_else(|| InvalidLine::Type(self.r#type.to_string()))
    }

    pub(super) fn time(&self) -> Result<Timestamp, InvalidLine> {
        Ok(Timestamp::parse(self.time.as_bytes())?)
    }

    pub(super) fn shard(&self, shards: u32) -> Result<u32, InvalidLine> {
        let stream = self.subject.parse::<StreamId>();
        let stream = stream.map_err(|_invalid| InvalidLine::Stream(self.subject.to_string()))?;
        Ok(shard_of(&stream, shards).index())
    }
}

impl<'a> EventType<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (name, version) = text.strip_prefix(PREFIX)?.rsplit_once(".v")?;
        let is_name =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
        (name.contains('.') && name.chars().all(is_name))
            .then_some(Self { name, version: version.parse().ok()? })
    }

    pub(crate) fn stream_type(&self) -> &'a str {
        self.name.split_once('.').map_or(self.name, |(kind, _)| kind)
    }

    /// The name of its table.
    pub(crate) fn table(&self) -> String {
        self.name.replace('.', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_a_table_each() {
        let read = EventType::parse("tradewind.api_key.issued.v12").unwrap();
        assert_eq!((read.name, read.version), ("api_key.issued", 12));
        assert_eq!((read.stream_type(), read.table().as_str()), ("api_key", "api_key_issued"));
        for bad in [
            "order.placed.v1",
            "tradewind.order.placed",
            "tradewind.placed.v1",
            "tradewind.../x.v1",
        ] {
            assert_eq!(EventType::parse(bad), None, "{bad}");
        }
    }
}
