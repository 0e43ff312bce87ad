//! What an attribute of a product can be: a text, a truth or a number.
//!
//! **Invariant:** a number that was accepted is the same number in the log, in stored states, in
//! PostgreSQL's `jsonb` and in what clients read. Each of these has its own limits, and turns what is
//! beyond them into another number without a word: doubles have 53 bits, `jsonb` writes 1e17 as
//! digits, parsers round. So [`Number::parse`] takes what all of them hold, and nothing else.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    Text(String),
    Bool(bool),
    Number(Number),
}

/// A number in its one form: a whole one has no decimal point and no exponent, whoever wrote it how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(serde_json::Number);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNumber {
    #[error("not a number")]
    Form,
    #[error(
        "number out of range: must be whole and fit 64 bits, or have at most {PLACES_MAX} decimal \
         places"
    )]
    OutOfRange,
    #[error("a number that is not whole has at most {DIGITS_MAX} digits: send others as text")]
    TooLong,
}

/// Digits behind the decimal point. A double holds powers of ten to this one exactly, so that
/// parsers which work in doubles, as serde_json does, get no digit wrong.
const PLACES_MAX: i64 = 22;
/// Digits of a decimal that any double keeps.
const DIGITS_MAX: usize = 15;
/// Decimal digits of the longest whole number.
const WHOLE_DIGITS_MAX: i64 = 19;

impl Number {
    /// The number that a JSON text names: whole and within 64 bits, or a decimal that every double and
    /// every parser keeps to its last digit.
    ///
    /// # Errors
    /// If another number would come back.
    pub fn parse(text: &str) -> Result<Self, InvalidNumber> {
        let decimal = Decimal::of(text)?;
        if decimal.digits.is_empty() {
            return Ok(Self(0.into()));
        }
        if decimal.exponent >= 0 {
            return decimal
                .whole()
                .map(|whole| Self(whole.into()))
                .ok_or(InvalidNumber::OutOfRange);
        }
        if decimal.exponent < -PLACES_MAX {
            return Err(InvalidNumber::OutOfRange);
        }
        if decimal.digits.len() > DIGITS_MAX {
            return Err(InvalidNumber::TooLong);
        }
        let double: f64 = text.parse().map_err(|_not_a_number| InvalidNumber::Form)?;
        serde_json::Number::from_f64(double).map(Self).ok_or(InvalidNumber::OutOfRange)
    }

    /// Whether a JSON text names a whole number, however it is written and however large it is.
    #[must_use]
    pub fn is_whole(text: &str) -> bool {
        match Decimal::of(text) {
            Ok(decimal) => decimal.exponent >= 0,
            // One with an exponent that is beyond all bounds.
            Err(InvalidNumber::OutOfRange) => !text.contains("e-") && !text.contains("E-"),
            Err(_) => false,
        }
    }

    /// The whole number that a JSON text names, if it is one and 64 bits hold it.
    #[must_use]
    pub fn whole(text: &str) -> Option<i64> {
        let decimal = Decimal::of(text).ok()?;
        if decimal.digits.is_empty() { Some(0) } else { decimal.whole() }
    }

    /// What earlier releases accepted may be a double of any size, in which whole numbers have more
    /// than one form.
    fn stored(double: f64) -> Option<Self> {
        let text = double.to_string();
        let whole = |text: &str| {
            let signed = text.parse::<i64>().map(serde_json::Number::from);
            signed.or_else(|_too_large| text.parse::<u64>().map(serde_json::Number::from)).ok()
        };
        whole(&text).or_else(|| serde_json::Number::from_f64(double)).map(Self)
    }
}

/// A decimal as it is written: `digits` times ten to the `exponent`, without zeros at either end.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Result<Self, InvalidNumber> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: String = [whole, fraction].concat();
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidNumber::Form);
        }
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Ok(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidNumber::Form);
        }
        // One that does not fit 64 bits is far out of any range.
        let exponent: i64 = exponent.parse().map_err(|_huge| InvalidNumber::OutOfRange)?;
        let zeros = significant.len().saturating_sub(digits.len());
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        let exponent = exponent.saturating_sub(count(fraction.len())).saturating_add(count(zeros));
        Ok(Self { negative, digits: digits.to_owned(), exponent })
    }

    /// If it is whole and fits.
    fn whole(&self) -> Option<i64> {
        let length = i64::try_from(self.digits.len()).ok()?.checked_add(self.exponent)?;
        if self.exponent < 0 || length > WHOLE_DIGITS_MAX {
            return None;
        }
        let zeros = "0".repeat(usize::try_from(self.exponent).ok()?);
        let sign = if self.negative { "-" } else { "" };
        [sign, &self.digits, &zeros].concat().parse().ok()
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Number(Number(number.into()))
    }
}

impl From<bool> for Attribute {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for Attribute {
    fn schema_name() -> Cow<'static, str> {
        "Attribute".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "boolean", "number"],
            "description": "A text, a truth or a number.",
        })
    }
}

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => number.serialize(serializer),
        }
    }
}

/// Of what is stored. What clients send is judged by [`Number::parse`].
impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Stored)
    }
}

struct Stored;

impl de::Visitor<'_> for Stored {
    type Value = Attribute;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a boolean")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Attribute, E> {
        Ok(Attribute::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Attribute, E> {
        Ok(Attribute::Number(Number(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Attribute, E> {
        Ok(Attribute::Number(Number(number.into())))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Attribute, E> {
        let stored = Number::stored(number);
        stored.map(Attribute::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Attribute, E> {
        Ok(Attribute::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Attribute, E> {
        Ok(Attribute::Text(text))
    }
}

#[cfg(test)]
mod tests;
