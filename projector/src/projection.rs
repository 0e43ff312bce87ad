//! What a projection is: a name, tables, and how one event changes the row of its stream.
//!
//! A projection knows nothing of batches, checkpoints, transactions or retries: `runner` has those.
//! Adding one is one file in `projections/` and one line in its list.
//!
//! **Invariant:** rows are a pure function of the log. `evolve` reads no clock and no other row, and
//! nothing here has an effect outside of the transaction that `Tables` stands for.

use std::{borrow::Cow, future::Future, hash::Hash, str::FromStr};

use chrono::{DateTime, NaiveDate, Utc};
use domain::{StreamType, money::MoneyError, shard::ShardId};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Encode, FromRow, PgConnection, Postgres, SqlSafeStr, SqlStr,
    postgres::{PgHasArrayType, PgRow},
};
use uuid::Uuid;

pub(crate) use crate::runner::AnyStreamFold;
use crate::{
    checkpoint::shard_column,
    verify::{Columns, instant},
};

/// A read model: its tables, and what streams make of them.
///
/// In SQL, `{schema}` stands for the schema of the version at hand, so that the same projection can
/// live beside itself.
pub(crate) trait Projection: Send + Sync + 'static {
    const NAME: &'static str;
    /// Grows with each change of the tables or of what is made of an event.
    const VERSION: i32;
    /// Its tables and indexes, as they are created in an empty schema.
    const TABLES: &'static str;
    /// Its stable views in schema `read`: name and query.
    const VIEWS: &'static [(&'static str, &'static str)];
    /// How streams become rows: a fold for each of the tables that have a row per stream. Shards are
    /// read in no order, so each fold has rows of its own, and where they meet is a view.
    const FOLDS: &'static [&'static dyn AnyStreamFold];
}

/// What the streams of one type make of one table with a row per stream.
pub(crate) trait StreamFold: Send + Sync + 'static {
    /// The streams whose events it folds; it never sees another.
    const STREAM: StreamType;

    type Event: Sync;
    /// The key of a stream, as it stands in the tables.
    type Key: Key;
    type Row: Row<Key = Self::Key>;
    /// What events add to rows that are shared by many streams; `()` if there are none.
    type Additions: Default + Send + Sync;

    /// The tables of such rows.
    const SHARED: &'static [Table] = &[];

    fn select(event: &domain::Event) -> Option<&Self::Event>;

    /// What the event makes of the row of its stream; `None` is the absent row.
    ///
    /// # Errors
    /// If the event does not follow from the row: then it is parked with all that follow on it.
    fn evolve(
        row: Option<Self::Row>,
        event: &Self::Event,
        origin: &Origin<Self::Key>,
        additions: &mut Self::Additions,
    ) -> Result<Option<Self::Row>, Inapplicable>;

    /// Adds to the rows that many streams share.
    fn add(
        tables: &mut Tables<'_>,
        additions: &Self::Additions,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        let _ = (tables, additions);
        std::future::ready(Ok(()))
    }

    /// What later events add, on top; `None` if it cannot be added.
    #[must_use]
    fn merge(additions: &mut Self::Additions, more: Self::Additions) -> Option<()> {
        let _ = (additions, more);
        Some(())
    }

    /// The rows that the events of a shard have added up to, in the order of `SHARED`.
    #[must_use]
    fn shared(additions: &Self::Additions, shard: i32) -> Vec<Vec<Vec<Cell<'_>>>> {
        let _ = (additions, shard);
        Vec::new()
    }
}

/// What a stream's key can be as a column.
pub(crate) trait Key:
    Clone
    + Eq
    + Hash
    + FromStr
    + Send
    + Sync
    + sqlx::Type<Postgres>
    + PgHasArrayType
    + for<'q> Encode<'q, Postgres>
    + 'static
{
}

impl Key for Uuid {}
impl Key for String {}

/// The row that the events of one stream fold into. Its fields have the names of columns.
pub(crate) trait Row:
    for<'r> FromRow<'r, PgRow> + Clone + Send + Sync + Unpin + 'static
{
    type Key;

    const TABLE: Table;

    fn key(&self) -> Self::Key;

    /// What its columns hold, in the order of `TABLE`.
    fn cells(&self) -> Vec<Cell<'_>>;

    /// Revision of the last event that was folded in.
    fn revision(&self) -> i64;
}

/// Where an event comes from, in the types of columns.
#[derive(Clone, Debug)]
pub(crate) struct Origin<K> {
    pub key: K,
    pub revision: i64,
    pub recorded_at: DateTime<Utc>,
}

/// A table as far as its rows are written by the runner and read by verifications.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub name: &'static str,
    /// So many of the first columns are the primary key.
    pub keys: usize,
    pub columns: &'static [Column],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A type that columns have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'r> {
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

/// What a batch leaves behind: the last state of each row that it touched.
pub(crate) struct Changes<S: StreamFold> {
    /// Rows that were not stored before.
    pub created: Vec<S::Row>,
    /// Rows that were, as they are now.
    pub updated: Vec<S::Row>,
    /// Rows that were stored before the batch and are no more.
    pub deleted: Vec<S::Key>,
    pub additions: S::Additions,
}

/// The event does not fit what the projection knows: a bug, or a log that something else wrote to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Inapplicable {
    #[error("the stream's key is not one that this projection can store")]
    MalformedKey,
    #[error("the event belongs to another type of stream")]
    WrongStream,
    #[error("revision {found} follows on revision {row}")]
    RevisionGap { row: i64, found: i64 },
    #[error("the stream begins twice")]
    ExistsAlready,
    #[error("nothing is known of the stream that the event continues")]
    UnknownStream,
    #[error("an amount cannot be added: {0}")]
    Money(#[from] MoneyError),
    #[error("a quantity does not fit 64 bits")]
    QuantityOverflow,
}

/// The tables of one version of a projection, inside the transaction of one batch of one shard.
pub(crate) struct Tables<'t> {
    connection: &'t mut PgConnection,
    schema: &'t str,
    shard: ShardId,
}

impl<'t> Tables<'t> {
    pub(crate) fn new(connection: &'t mut PgConnection, schema: &'t str, shard: ShardId) -> Self {
        Self { connection, schema, shard }
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.connection
    }

    /// For tables whose rows are shared by streams of several shards: part of their key.
    #[must_use]
    pub(crate) fn shard_column(&self) -> i32 {
        shard_column(self.shard)
    }

    pub(crate) fn schema(&self) -> &'t str {
        self.schema
    }

    #[must_use]
    pub(crate) fn sql(&self, text: &'static str) -> SqlStr {
        in_schema(text, self.schema)
    }
}

/// Puts the schema's name where the text says `{schema}`. Both come from this program's constants.
#[must_use]
pub(crate) fn in_schema(text: &'static str, schema: &str) -> SqlStr {
    AssertSqlSafe(text.replace("{schema}", schema)).into_sql_str()
}

impl Column {
    #[must_use]
    pub(crate) const fn of(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

impl Kind {
    /// Its name in SQL.
    #[must_use]
    pub(crate) const fn sql(self) -> &'static str {
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

impl<'r> Cell<'r> {
    #[must_use]
    pub(crate) fn text(text: &'r str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    #[must_use]
    pub(crate) fn text_or_null(text: Option<&'r str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    #[must_use]
    pub(crate) fn time_or_null(at: Option<DateTime<Utc>>) -> Self {
        at.map_or(Self::Null, Self::Time)
    }

    /// A document. What serde cannot write is no document; tests write all of them.
    #[must_use]
    pub(crate) fn json(value: &impl serde::Serialize) -> Self {
        serde_json::to_string(value).map_or(Self::Null, Self::Json)
    }

    /// As `to_jsonb` shows it, instants aside.
    fn into_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Uuid(value) => value.to_string().into(),
            Self::Text(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Long(value) => value.into(),
            // Beyond 64 bits as a double, which is what becomes of the stored number, too.
            Self::Whole(value) => serde_json::from_str(&value.to_string()).unwrap_or_default(),
            Self::Time(value) => instant(value).into(),
            Self::Date(value) => value.to_string().into(),
            Self::Json(value) => serde_json::from_str(&value).unwrap_or_default(),
        }
    }
}

/// A row as a verification compares it, by its primary key.
#[must_use]
pub(crate) fn cells_to_json(table: &Table, cells: Vec<Cell<'_>>) -> (String, Columns) {
    let names = table.columns.iter().map(|column| column.name.to_owned());
    let row: Columns = names.zip(cells.into_iter().map(Cell::into_json)).collect();
    (crate::verify::key_of(table, &row), row)
}

/// One column of many rows, to be bound as an array for `UNNEST`.
pub(crate) fn column<'r, R, T>(rows: &'r [R], field: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}
