//! Texts with a maximum of characters.

use std::{borrow::Cow, ops::Deref};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::{Fault, Value};

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
