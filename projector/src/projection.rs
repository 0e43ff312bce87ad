//! What a projection is: a name, tables, and how one event changes the row of its stream.
//!
//! A projection knows nothing of batches, checkpoints, transactions or retries: `runner` has those.
//! Adding one is one file in `projections/` and one line in its list.
//!
//! **Invariant:** rows are a pure function of the log. `evolve` reads no clock and no other row, and
//! nothing here has an effect outside of the transaction that `Tables` stands for.

use std::{future::Future, hash::Hash, str::FromStr};

use chrono::{DateTime, Utc};
use domain::{StreamType, money::MoneyError, shard::ShardId};
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr};

use crate::checkpoint::shard_column;

/// A read model with one row per stream of one type.
///
/// In SQL, `{schema}` stands for the schema of the version at hand, so that the same projection can
/// live beside itself.
pub(crate) trait Projection: Send + Sync + 'static {
    const NAME: &'static str;
    /// Grows with each change of the tables or of what `evolve` makes of an event.
    const VERSION: i32;
    /// The streams whose events it folds; it never sees another.
    const STREAM: StreamType;
    /// Its tables and indexes, as they are created in an empty schema.
    const TABLES: &'static str;
    /// Its stable views in schema `read`: name and query.
    const VIEWS: &'static [(&'static str, &'static str)];

    type Event: Sync;
    /// The key of a stream, as it stands in the tables.
    type Key: Clone + Eq + Hash + FromStr + Send + Sync + 'static;
    type Row: Row<Key = Self::Key>;
    /// What a batch adds to rows that are shared by many streams; `()` if there are none.
    type Additions: Default + Send;

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

    /// The rows of these keys that exist.
    fn load(
        tables: &mut Tables<'_>,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Writes what a batch leaves behind.
    fn store(
        tables: &mut Tables<'_>,
        changes: Changes<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send
    where
        Self: Sized;
}

/// The row that the events of one stream fold into.
pub(crate) trait Row: Send + Sync {
    type Key;

    fn key(&self) -> Self::Key;

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

/// What a batch leaves behind: the last state of each row that it touched.
pub(crate) struct Changes<P: Projection> {
    pub written: Vec<P::Row>,
    /// Rows that were stored before the batch and are no more.
    pub deleted: Vec<P::Key>,
    pub additions: P::Additions,
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

/// One column of many rows, to be bound as an array for `UNNEST`.
pub(crate) fn column<'r, R, T>(rows: &'r [R], field: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}
