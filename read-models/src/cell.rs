//! What tables look like to whoever writes them: names and types of columns, and a row as its cells.
//!
//! **Invariant:** a cell is of its column's type, and null only where the column's getter says so: both
//! come from the one [`Get`].

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// A table as far as its rows are written by the projector and read by verifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    /// So many of the first columns are the primary key.
    pub keys: usize,
    pub columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A type that columns have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Text,
    Int,
    Long,
    /// A whole number of any size: a sum of many `Long`s.
    Whole,
    Time,
    Date,
    Json,
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell<'r> {
    Null,
    Uuid(Uuid),
    Text(Cow<'r, str>),
    Int(i32),
    Long(i64),
    Whole(i128),
    Time(DateTime<Utc>),
    Date(NaiveDate),
    /// As text.
    Json(String),
}

/// What a column holds of a row, and of what type it is.
#[derive(Debug)]
pub enum Get<R: ?Sized> {
    Uuid(fn(&R) -> Uuid),
    UuidOrNull(fn(&R) -> Option<Uuid>),
    Text(fn(&R) -> &str),
    TextOrNull(fn(&R) -> Option<&str>),
    Int(fn(&R) -> i32),
    Long(fn(&R) -> i64),
    Time(fn(&R) -> DateTime<Utc>),
    TimeOrNull(fn(&R) -> Option<DateTime<Utc>>),
    Date(fn(&R) -> NaiveDate),
    /// A document's text.
    Json(fn(&R) -> Result<String, serde_json::Error>),
}

impl Kind {
    /// Its name in SQL.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Int => "int",
            Self::Long => "bigint",
            Self::Whole => "numeric",
            Self::Time => "timestamptz",
            Self::Date => "date",
            Self::Json => "jsonb",
        }
    }
}

impl<R> Get<R> {
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Uuid(_) | Self::UuidOrNull(_) => Kind::Uuid,
            Self::Text(_) | Self::TextOrNull(_) => Kind::Text,
            Self::Int(_) => Kind::Int,
            Self::Long(_) => Kind::Long,
            Self::Time(_) | Self::TimeOrNull(_) => Kind::Time,
            Self::Date(_) => Kind::Date,
            Self::Json(_) => Kind::Json,
        }
    }

    /// # Errors
    /// If it is a document that has no form as JSON.
    pub fn cell<'r>(&self, row: &'r R) -> Result<Cell<'r>, serde_json::Error> {
        let text = |text: &'r str| Cell::Text(Cow::Borrowed(text));
        Ok(match self {
            Self::Uuid(get) => Cell::Uuid(get(row)),
            Self::UuidOrNull(get) => get(row).map_or(Cell::Null, Cell::Uuid),
            Self::Text(get) => text(get(row)),
            Self::TextOrNull(get) => get(row).map_or(Cell::Null, text),
            Self::Int(get) => Cell::Int(get(row)),
            Self::Long(get) => Cell::Long(get(row)),
            Self::Time(get) => Cell::Time(get(row)),
            Self::TimeOrNull(get) => get(row).map_or(Cell::Null, Cell::Time),
            Self::Date(get) => Cell::Date(get(row)),
            Self::Json(get) => Cell::Json(get(row)?),
        })
    }
}

impl Cell<'_> {
    #[must_use]
    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Null => Cell::Null,
            Self::Uuid(value) => Cell::Uuid(value),
            Self::Text(value) => Cell::Text(Cow::Owned(value.into_owned())),
            Self::Int(value) => Cell::Int(value),
            Self::Long(value) => Cell::Long(value),
            Self::Whole(value) => Cell::Whole(value),
            Self::Time(value) => Cell::Time(value),
            Self::Date(value) => Cell::Date(value),
            Self::Json(value) => Cell::Json(value),
        }
    }
}
