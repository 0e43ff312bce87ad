//! Texts and numbers of requests that have bounds, which stand once: in the type.
//!
//! **Invariant:** the bounds that a value is checked for are those that the contract shows, for both
//! come from the constants of its type. They are checked by [`Fields::value`] and not while a request is
//! read, so that a client learns of all that is wrong at once.

use std::{borrow::Cow, fmt, ops::Deref, str::FromStr};

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

use super::fields::Fields;

/// A value that may break what its own type promises.
pub trait Value {
    /// What is wrong with it: a code for machines and words for people.
    fn fault(&self) -> Option<Fault>;
}

pub type Fault = (&'static str, Cow<'static, str>);

/// What is not there breaks nothing.
impl<T: Value> Value for Option<T> {
    fn fault(&self) -> Option<Fault> {
        self.as_ref().and_then(T::fault)
    }
}

impl Fields {
    /// Adds what is wrong with a value.
    pub fn value(&mut self, pointer: impl Into<Cow<'static, str>>, value: &impl Value) {
        if let Some((code, detail)) = value.fault() {
            self.add(pointer, code, detail);
        }
    }
}

/// Characters that no text may have, in the words of a pattern: all control characters but tab and
/// newline. They are refused wherever they stand (`extract::document`).
pub const CONTROL: &str = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f";
/// Blank characters beside those, in the words of a pattern.
pub const SPACE: &str = r"\t\n \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// A text of at most `MAX` characters; with a `MIN` of 1 there is one that is not blank.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize, const MIN: usize = 1>(String);

impl<const MAX: usize, const MIN: usize> Text<MAX, MIN> {
    const MIN_IS_KNOWN: () = assert!(MIN <= 1, "a text may be blank or it may not");

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// What keeps a text from being one of these.
    #[must_use]
    pub fn judge(text: &str) -> Option<Fault> {
        let () = Self::MIN_IS_KNOWN;
        if MIN > 0 && text.trim().is_empty() {
            return Some(("required", "must not be empty".into()));
        }
        too_long(text, MAX)
    }
}

impl<const MAX: usize, const MIN: usize> Deref for Text<MAX, MIN> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize, const MIN: usize> Value for Text<MAX, MIN> {
    fn fault(&self) -> Option<Fault> {
        Self::judge(self)
    }
}

fn too_long(text: &str, chars_max: usize) -> Option<Fault> {
    // Bytes are never fewer than characters, so most texts need no count.
    let long = text.len() > chars_max && text.chars().count() > chars_max;
    long.then(|| ("too_long", format!("must have at most {chars_max} characters").into()))
}

impl<const MAX: usize, const MIN: usize> PartialSchema for Text<MAX, MIN> {
    fn schema() -> RefOr<Schema> {
        let pattern = match MIN {
            0 => format!("^[^{CONTROL}]*$"),
            _ => format!("^[^{CONTROL}]*[^{CONTROL}{SPACE}][^{CONTROL}]*$"),
        };
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        text.min_length((MIN > 0).then_some(MIN)).max_length(Some(MAX)).into()
    }
}

impl<const MAX: usize, const MIN: usize> ToSchema for Text<MAX, MIN> {
    fn name() -> Cow<'static, str> {
        match MIN {
            0 => format!("TextOrBlank{MAX}"),
            _ => format!("Text{MAX}"),
        }
        .into()
    }
}

/// `local@domain`, short enough for a mail server. Whether it exists only a mail can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    const CHARS_MAX: usize = 254;

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    fn is_shaped(&self) -> bool {
        let Some((local, domain)) = self.0.split_once('@') else { return false };
        let labels = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
        !local.is_empty()
            && labels
            && !domain.contains('@')
            && !self.0.contains(char::is_whitespace)
    }
}

impl Value for Email {
    fn fault(&self) -> Option<Fault> {
        let valid = self.is_shaped() && too_long(&self.0, Self::CHARS_MAX).is_none();
        (!valid).then(|| ("invalid", "must be an e-mail address such as ada@example.org".into()))
    }
}

impl PartialSchema for Email {
    fn schema() -> RefOr<Schema> {
        let (local, label) = (format!("[^@{CONTROL}{SPACE}]+"), format!("[^@.{CONTROL}{SPACE}]+"));
        let pattern = format!("^{local}@{label}([.]{label})+$");
        let email = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        email.max_length(Some(Self::CHARS_MAX)).examples(["ada@example.org"]).into()
    }
}

impl ToSchema for Email {}

/// A whole number from `MIN` to `MAX`, as a `T`, which must hold them.
///
/// `5`, `5.0` and `0.5e1` are one number (JSON Schema counts all of them as whole), so all of them are
/// taken, and read exactly: from the text, for parsers would have rounded long ones already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole<T, const MIN: i64, const MAX: i64>(T);

impl<T: Copy, const MIN: i64, const MAX: i64> Whole<T, MIN, MAX> {
    pub fn get(self) -> T {
        self.0
    }
}

impl<T, const MIN: i64, const MAX: i64> Whole<T, MIN, MAX> {
    fn range() -> String {
        format!("must be between {MIN} and {MAX}")
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
        E::custom(format_args!("number out of range: {}", Self::range()))
    }
}

impl<T: Copy + Into<i64>, const MIN: i64, const MAX: i64> Value for Whole<T, MIN, MAX> {
    fn fault(&self) -> Option<Fault> {
        let within = (MIN..=MAX).contains(&self.0.into());
        (!within).then(|| ("out_of_range", Self::range().into()))
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

#[cfg(test)]
mod tests;
