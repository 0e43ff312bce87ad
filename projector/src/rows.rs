//! Rows on their way into tables and back, whatever projection they are of.
//!
//! Rows that are known to be new are copied in, binary; those that are stored already are updated,
//! all of a batch in one statement. A few new ones take a statement, too: a copy costs more answers
//! of the server than it saves. Sums are added to the stored ones, all of a table in one statement; so are
//! entries, of all streams.

mod copy;
mod months;

use months::Month;
pub(crate) use months::{MARK, Months};

use domain::shard::ShardId;
use read_models::{Cell, Column, Entry, EntryTable, Fold, Kind, Slot, Sums, Table};
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

/// New rows from which on they are copied.
const COPIED_MIN: usize = 64;

/// What a loaded row's key is called beside its columns.
const KEY: &str = "stream_key";

/// The tables of one version of a projection, inside the transaction of one batch of one shard.
pub(crate) struct Tables<'t> {
    connection: &'t mut PgConnection,
    schema: &'t str,
    shard: ShardId,
}

/// New rows on their way into a table.
type NewRow<'r> = Result<Vec<Cell<'r>>, sqlx::Error>;

/// What a batch leaves behind: the last state of each row that it touched.
#[derive(Default)]
pub(crate) struct Changes<'s> {
    /// Rows that were not stored before.
    pub created: Vec<&'s dyn Slot>,
    /// Rows that were, as they are now.
    pub updated: Vec<&'s dyn Slot>,
    /// Keys of rows that were stored before the batch and are no more.
    pub deleted: Vec<&'s str>,
}

impl<'t> Tables<'t> {
    pub(crate) fn new(connection: &'t mut PgConnection, schema: &'t str, shard: ShardId) -> Self {
        Self { connection, schema, shard }
    }

    /// Whose events they take, as a column holds it.
    #[must_use]
    pub(crate) fn shard(&self) -> i32 {
        shard_column(self.shard)
    }

    /// Writes what a batch leaves behind.
    pub(crate) async fn store(
        &mut self,
        fold: &Fold,
        table: &Table,
        changes: Changes<'_>,
        sums: &Sums,
    ) -> Result<(), sqlx::Error> {
        let Changes { created, updated, deleted } = changes;
        let schema = self.schema;
        self.create(table, created.iter().map(|slot| slot.cells())).await?;
        if !updated.is_empty() {
            self.write(update(schema, table), table, &cells(&updated)?).await?;
        }
        if !deleted.is_empty() {
            let sql = format!("DELETE FROM {}", with_key(schema, table));
            sqlx::query(AssertSqlSafe(sql)).bind(deleted).execute(&mut *self.connection).await?;
        }
        for table in fold.sums {
            let table = table();
            let rows: Vec<_> = sums.rows(&table, shard_column(self.shard)).collect();
            if !rows.is_empty() {
                self.write(add(schema, &table), &table, &rows).await?;
            }
        }
        Ok(())
    }

    /// Adds a row for each event. Months that are known to have a table get none.
    pub(crate) async fn append(
        &mut self,
        table: &EntryTable,
        entries: &[Entry],
        known: &mut Months,
    ) -> Result<(), sqlx::Error> {
        for entry in entries.iter().filter(|_| table.is_parted_by_month) {
            let month = Month::of(entry.recorded_at);
            if known.insert((table.name, month)) {
                months::ensure(self.connection, self.schema, table.name, month).await?;
            }
        }
        let no_text = |error: serde_json::Error| sqlx::Error::Encode(error.into());
        let rows = entries.iter().map(|entry| table.cells(entry).map_err(no_text));
        self.create(&table.table(), rows).await
    }

    async fn create<'r>(
        &mut self,
        table: &Table,
        rows: impl ExactSizeIterator<Item = NewRow<'r>>,
    ) -> Result<(), sqlx::Error> {
        match rows.len() {
            0 => Ok(()),
            COPIED_MIN.. => copy::rows(self.connection, self.schema, table, rows).await,
            _ => {
                let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
                self.write(insert(self.schema, table), table, &rows).await
            }
        }
    }

    /// The rows of these keys that exist, each with its key.
    pub(crate) async fn load(
        &mut self,
        table: &Table,
        keys: &[&str],
    ) -> Result<Vec<(String, PgRow)>, sqlx::Error> {
        let (key, rows) = (key_of(table).name, with_key(self.schema, table));
        let sql = format!("SELECT {key}::text AS {KEY}, * FROM {rows}");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(keys);
        let rows = query.fetch_all(&mut *self.connection).await?;
        rows.into_iter().map(|row| Ok((row.try_get(KEY)?, row))).collect()
    }

    async fn write(
        &mut self,
        sql: String,
        table: &Table,
        rows: &[Vec<Cell<'_>>],
    ) -> Result<(), sqlx::Error> {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (index, column) in table.columns.iter().enumerate() {
            query = bind(query, *column, rows.iter().filter_map(|cells| cells.get(index)))?;
        }
        query.execute(&mut *self.connection).await?;
        Ok(())
    }
}

/// A shard's number as a column holds it; Kafka counts partitions in the same type.
#[must_use]
pub(crate) fn shard_column(shard: ShardId) -> i32 {
    i32::try_from(shard.index()).unwrap_or(i32::MAX)
}

fn cells<'s>(slots: &[&'s dyn Slot]) -> Result<Vec<Vec<Cell<'s>>>, sqlx::Error> {
    slots.iter().map(|slot| slot.cells()).collect()
}

/// The column that the stream's key stands in.
fn key_of(table: &Table) -> Column {
    table.columns.first().copied().unwrap_or(Column { name: "", kind: Kind::Text })
}

/// The table that has a row per stream, where its key is one of those that are bound first, as text.
fn with_key(schema: &str, table: &Table) -> String {
    let Column { name: key, kind } = key_of(table);
    format!("{schema}.{} WHERE {key} = ANY($1::text[]::{}[])", table.name, kind.sql())
}

fn insert(schema: &str, table: &Table) -> String {
    let (name, columns, arrays) = (table.name, names(table), arrays(table));
    format!("INSERT INTO {schema}.{name} ({columns}) SELECT * FROM UNNEST({arrays})")
}

/// The whole row but its key: what has not changed is written as it was.
fn update(schema: &str, table: &Table) -> String {
    let (keys, others) = table.columns.split_at(table.keys);
    let set = each(others, ", ", |name| format!("{name} = made.{name}"));
    let same = each(keys, " AND ", |name| format!("kept.{name} = made.{name}"));
    let (name, columns, arrays) = (table.name, names(table), arrays(table));
    format!(
        "UPDATE {schema}.{name} AS kept SET {set} FROM UNNEST({arrays}) AS made ({columns}) \
         WHERE {same}"
    )
}

/// What is not part of the key is added to what is there.
fn add(schema: &str, table: &Table) -> String {
    let (keys, sums) = table.columns.split_at(table.keys);
    let keys = each(keys, ", ", str::to_owned);
    let sums = each(sums, ", ", |name| format!("{name} = kept.{name} + excluded.{name}"));
    let (name, columns, arrays) = (table.name, names(table), arrays(table));
    format!(
        "INSERT INTO {schema}.{name} AS kept ({columns}) SELECT * FROM UNNEST({arrays}) \
         ON CONFLICT ({keys}) DO UPDATE SET {sums}"
    )
}

/// Something with the name of each column.
fn each(columns: &[Column], separator: &str, text: impl Fn(&str) -> String) -> String {
    columns.iter().map(|column| text(column.name)).collect::<Vec<_>>().join(separator)
}

fn names(table: &Table) -> String {
    each(&table.columns, ", ", str::to_owned)
}

fn arrays(table: &Table) -> String {
    let arrays = (1..).zip(&table.columns);
    let arrays: Vec<_> =
        arrays.map(|(index, column)| format!("${index}::{}[]", column.kind.sql())).collect();
    arrays.join(", ")
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// One column of all rows as an array of its own type.
///
/// # Errors
/// If a cell is of another type: nothing is written rather than nulls.
fn bind<'q, 'c: 'q>(
    query: Statement<'q>,
    column: Column,
    cells: impl Iterator<Item = &'c Cell<'c>>,
) -> Result<Statement<'q>, sqlx::Error> {
    macro_rules! array {
        ($pattern:pat => $value:expr) => {{
            let values = cells.map(|cell| match cell {
                Cell::Null => Ok(None),
                $pattern => Ok(Some($value)),
                other => Err(mistyped(column, other)),
            });
            query.bind(values.collect::<Result<Vec<_>, _>>()?)
        }};
    }
    Ok(match column.kind {
        Kind::Uuid => array!(Cell::Uuid(value) => *value),
        Kind::Text => array!(Cell::Text(value) => &**value),
        Kind::Int => array!(Cell::Int(value) => *value),
        Kind::Long => array!(Cell::Long(value) => *value),
        // As text: the statement makes a number of it.
        Kind::Whole => array!(Cell::Whole(value) => value.to_string()),
        Kind::Time => array!(Cell::Time(value) => *value),
        Kind::Date => array!(Cell::Date(value) => *value),
        // As text: the statement makes JSON of it.
        Kind::Json => array!(Cell::Json(value) => &**value),
    })
}

fn mistyped(Column { name, kind }: Column, cell: &Cell<'_>) -> sqlx::Error {
    sqlx::Error::Encode(format!("{cell:?} is no {} for column {name}", kind.sql()).into())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn table() -> Table {
        let columns = [
            Column { name: "sku", kind: Kind::Text },
            Column { name: "on_hand", kind: Kind::Long },
            Column { name: "doc", kind: Kind::Json },
        ];
        Table { name: "stock", keys: 1, columns: columns.into() }
    }

    #[test]
    fn new_rows_and_stored_ones_take_a_statement_each() {
        expect![[r#"INSERT INTO stock_v2.stock (sku, on_hand, doc) SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::jsonb[])"#]]
            .assert_eq(&insert("stock_v2", &table()));
        expect![[r#"UPDATE stock_v2.stock AS kept SET on_hand = made.on_hand, doc = made.doc FROM UNNEST($1::text[], $2::bigint[], $3::jsonb[]) AS made (sku, on_hand, doc) WHERE kept.sku = made.sku"#]]
            .assert_eq(&update("stock_v2", &table()));
    }

    #[test]
    fn sums_are_added_to_those_of_their_key() {
        let table = (read_models::sales::SALES.folds[0].sums[1])();
        expect![[r#"INSERT INTO sales_v2.sales_totals AS kept (day, channel, currency, shard, orders, units, revenue) SELECT * FROM UNNEST($1::date[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::numeric[]) ON CONFLICT (day, channel, currency, shard) DO UPDATE SET orders = kept.orders + excluded.orders, units = kept.units + excluded.units, revenue = kept.revenue + excluded.revenue"#]]
            .assert_eq(&add("sales_v2", &table));
    }

    #[test]
    fn a_cell_of_another_type_is_an_error_and_no_null() {
        let column = Column { name: "on_hand", kind: Kind::Long };
        let bind =
            |cell: &Cell<'_>| bind(sqlx::query("SELECT $1"), column, [cell].into_iter()).is_ok();
        assert!(bind(&Cell::Long(1)));
        assert!(bind(&Cell::Null));
        assert!(!bind(&Cell::Int(1)));
    }
}
