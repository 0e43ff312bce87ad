//! Documents on their way from the tables to clients: never parsed, and yet of a type.

use std::{borrow::Cow, marker::PhantomData};

use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;
use sqlx::{
    Decode, FromRow, Postgres, Row, Type,
    error::BoxDynError,
    postgres::{PgRow, PgTypeInfo, PgValueRef},
    types::Json,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Object, RefOr, Schema},
};

/// The JSON of a `T` as the projector wrote it: text that is handed on as it is.
pub struct Document<T> {
    text: Box<str>,
    of: PhantomData<fn() -> T>,
}

/// A document as clients see it: behind the members of an `H`, which are columns, and its revision.
///
/// It is a row of a view that has these columns, `revision`, and the document as `doc`.
pub struct Shown<H, T> {
    pub head: H,
    pub revision: i64,
    document: Document<T>,
}

impl<T: Serialize> Document<T> {
    /// # Errors
    /// If the value has no form as JSON.
    pub(crate) fn of(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { text: serde_json::to_string(value)?.into(), of: PhantomData })
    }
}

impl<H, T: Serialize> Shown<H, T> {
    /// # Errors
    /// If the value has no form as JSON.
    pub(crate) fn of(head: H, revision: i64, value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { head, revision, document: Document::of(value)? })
    }
}

impl<T> Document<T> {
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<T> Serialize for Document<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.text).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<H: Serialize, T> Shown<H, T> {
    /// # Errors
    /// If what is stored is no object.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let (head, revision) = (serde_json::to_string(&self.head)?, self.revision);
        let document = self.document.text();
        let rest = document.strip_prefix('{').ok_or_else(|| not_an_object(document))?;
        let separator = if rest.trim_start().starts_with('}') { "" } else { "," };
        let members = head.strip_suffix('}').unwrap_or(&head);
        Ok(format!("{members},\"revision\":{revision}{separator}{rest}"))
    }
}

fn not_an_object(document: &str) -> serde_json::Error {
    let kind = document.chars().take(1).collect::<String>();
    ser::Error::custom(format!("a document is an object and does not begin with {kind:?}"))
}

impl<H: for<'r> FromRow<'r, PgRow>, T> FromRow<'_, PgRow> for Shown<H, T> {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (revision, document) = (row.try_get("revision")?, row.try_get("doc")?);
        Ok(Self { head: H::from_row(row)?, revision, document })
    }
}

impl<T> Type<Postgres> for Document<T> {
    fn type_info() -> PgTypeInfo {
        Json::<()>::type_info()
    }

    fn compatible(found: &PgTypeInfo) -> bool {
        Json::<()>::compatible(found)
    }
}

impl<'r, T> Decode<'r, Postgres> for Document<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        /// What PostgreSQL's binary form puts before the text. No JSON begins with it.
        const VERSION: char = '\u{1}';
        let text = value.as_str()?;
        let text = text.strip_prefix(VERSION).unwrap_or(text);
        Ok(Self { text: text.into(), of: PhantomData })
    }
}

impl<H: ToSchema, T: ToSchema> PartialSchema for Shown<H, T> {
    fn schema() -> RefOr<Schema> {
        let (RefOr::T(Schema::Object(mut shown)), RefOr::T(Schema::Object(document))) =
            (H::schema(), T::schema())
        else {
            // What is no struct has no members to show.
            return Object::new().into();
        };
        shown.properties.extend(document.properties);
        shown.properties.insert("revision".to_owned(), u64::schema());
        shown.required.extend(document.required);
        shown.required.push("revision".to_owned());
        Schema::Object(shown).into()
    }
}

impl<H: ToSchema, T: ToSchema> ToSchema for Shown<H, T> {
    fn name() -> Cow<'static, str> {
        H::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        H::schemas(schemas);
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Head {
        id: &'static str,
    }

    fn shown(document: &str) -> Result<String, serde_json::Error> {
        let document = Document::<()> { text: document.into(), of: PhantomData };
        Shown { head: Head { id: "x}" }, revision: 2, document }.to_json()
    }

    #[test]
    fn members_come_first() {
        let joined = shown(r#"{"lines": []}"#).unwrap();
        assert_eq!(joined, r#"{"id":"x}","revision":2,"lines": []}"#);
        assert_eq!(shown("{}").unwrap(), r#"{"id":"x}","revision":2}"#);
        assert!(shown("[]").is_err());
    }
}
