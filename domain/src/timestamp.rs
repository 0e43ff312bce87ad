//! Instants as the log stores them: UTC, whole microseconds, RFC 3339 text.
//!
//! **Invariant:** a `Timestamp` lies in the years 1 to 9999, which its own text, JSON, PostgreSQL and
//! the calendars of clients can all hold. So whatever one holds can be written and read back; there is
//! no other type for instants that come from outside.

mod text;

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant in whole microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A day of the calendar in UTC, of the years 1 to 9999: `2026-01-31` and no other form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(NaiveDate);

/// Why a text names no instant or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    #[error("not an RFC 3339 time such as 2026-01-31T12:00:00Z")]
    Form,
    #[error("not a day such as 2026-01-31")]
    DayForm,
    #[error("there is no such day or time of day")]
    Impossible,
    /// Neither Unix time nor PostgreSQL has them, and to move one would be to change what was said.
    #[error("leap seconds are not kept: send the second before or after")]
    LeapSecond,
    #[error("must lie in the years 1 to 9999 in UTC")]
    OutOfRange,
}

impl Timestamp {
    /// 0001-01-01T00:00:00Z
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// What lies beyond the first or last instant becomes that one.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Saturates at the end of time, which is centuries beyond any deadline.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// Time from `earlier` until this instant; zero if it lies after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    #[must_use]
    pub fn to_datetime(self) -> DateTime<Utc> {
        // It can represent some 260,000 years.
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The instant that an RFC 3339 text names, digits beyond microseconds cut off.
    ///
    /// The letters may be small, and `-00:00` counts as UTC. What the RFC leaves to others is not
    /// taken: spaces, signed years, fields of one digit, offsets without minutes.
    ///
    /// # Errors
    /// If it is no such text, or the instant lies outside of the range.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidTime> {
        text::timestamp(text)
    }
}

impl Day {
    /// # Errors
    /// If it is no `2026-01-31`.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidTime> {
        text::day(text)
    }

    #[must_use]
    pub const fn to_date(self) -> NaiveDate {
        self.0
    }
}

/// What lies beyond the first or last instant becomes that one.
impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self::from_micros(at.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        Self::parse(text.as_bytes())
    }
}

impl FromStr for Day {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        Self::parse(text.as_bytes())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An instant in UTC, in microseconds.",
            "format": "date-time",
        })
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
