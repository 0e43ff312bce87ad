//! Whole numbers within bounds.
//!
//! `5`, `5.0` and `0.5e1` are one number (JSON Schema counts all of them as whole), so all of them are taken,
//! and read exactly: from the text, for parsers would have rounded long ones already.

use std::{borrow::Cow, fmt, str::FromStr};

use domain::product::Number;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Unexpected},
};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

use super::{Fault, Value};

/// A whole number from `MIN` to `MAX`, as a `T`, which must hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole<T, const MIN: i64, const MAX: i64>(T);

impl<T: Copy, const MIN: i64, const MAX: i64> Whole<T, MIN, MAX> {
    pub fn get(self) -> T {
        self.0
    }
}

impl<'de, T, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<T, MIN, MAX>
where
    T: TryFrom<i64>,
{
    /// From JSON.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        let unexpected = match text.as_bytes().first() {
            Some(b'"') => Unexpected::Other("text"),
            Some(b't' | b'f') => Unexpected::Other("boolean"),
            Some(b'n') => Unexpected::Unit,
            Some(b'[') => Unexpected::Seq,
            Some(b'{') => Unexpected::Map,
            _ if Number::is_whole(text) => {
                return Number::whole(text).and_then(Self::of).ok_or_else(Self::beyond);
            }
            _ => Unexpected::Other("decimal"),
        };
        Err(de::Error::invalid_type(unexpected, &"a whole number"))
    }
}

impl<T: TryFrom<i64>, const MIN: i64, const MAX: i64> Whole<T, MIN, MAX> {
    fn of(number: i64) -> Option<Self> {
        T::try_from(number).ok().map(Self)
    }

    fn beyond<E: de::Error>() -> E {
        E::custom(format!("number out of range: {}", Range::<MIN, MAX>))
    }
}

/// In words.
struct Range<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> fmt::Display for Range<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be between {MIN} and {MAX}")
    }
}

impl<T: Copy + Into<i64>, const MIN: i64, const MAX: i64> Value for Whole<T, MIN, MAX> {
    fn fault(&self) -> Option<Fault> {
        let within = (MIN..=MAX).contains(&self.0.into());
        (!within).then(|| ("out_of_range", Range::<MIN, MAX>.to_string().into()))
    }
}

/// For a number in a query: `#[serde(default, deserialize_with = "values::from_text")]`.
///
/// # Errors
/// The text is no whole number, or one that is too large for any.
pub fn from_text<'de, D, T, const MIN: i64, const MAX: i64>(
    deserializer: D,
) -> Result<Option<Whole<T, MIN, MAX>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map(|number| Some(Whole(number))).map_err(de::Error::custom)
}

impl<T, const MIN: i64, const MAX: i64> PartialSchema for Whole<T, MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        let small = i32::try_from(MIN).is_ok() && i32::try_from(MAX).is_ok();
        let format = if small { KnownFormat::Int32 } else { KnownFormat::Int64 };
        let whole = ObjectBuilder::new().schema_type(Type::Integer);
        let whole = whole.format(Some(SchemaFormat::KnownFormat(format)));
        whole.minimum(Some(MIN)).maximum(Some(MAX)).into()
    }
}

impl<T, const MIN: i64, const MAX: i64> ToSchema for Whole<T, MIN, MAX> {
    fn name() -> Cow<'static, str> {
        format!("Whole{MIN}To{MAX}").replace('-', "Minus").into()
    }
}
