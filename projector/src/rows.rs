//! Rows on their way into tables and back, whatever projection they are of.
//!
//! Rows that are known to be new are copied in, binary; those that are stored already are updated,
//! all of a batch in one statement. A few new ones take a statement, too: a copy costs more answers
//! of the server than it saves.

mod copy;

use sqlx::{AssertSqlSafe, PgConnection, Postgres, postgres::PgArguments, query::Query};

use crate::projection::{Cell, Changes, Column, Kind, Row, StreamFold, Table, Tables};

/// New rows from which on they are copied.
const COPIED_MIN: usize = 64;

/// Writes what a batch leaves behind.
pub(crate) async fn store<S: StreamFold>(
    tables: &mut Tables<'_>,
    changes: Changes<S>,
) -> Result<(), sqlx::Error> {
    let Changes { created, updated, deleted, additions } = changes;
    let (table, schema) = (S::Row::TABLE, tables.schema().to_owned());
    if created.len() >= COPIED_MIN {
        let rows = created.iter().map(Row::cells);
        copy::rows(tables.connection(), &schema, &table, rows).await?;
    } else if !created.is_empty() {
        let sql = insert(&schema, &table);
        write(tables.connection(), sql, &table, &created).await?;
    }
    if !updated.is_empty() {
        let sql = update(&schema, &table);
        write(tables.connection(), sql, &table, &updated).await?;
    }
    if !deleted.is_empty() {
        delete::<S>(tables, &deleted).await?;
    }
    S::add(tables, &additions).await
}

/// The rows of these keys that exist.
pub(crate) async fn load<S: StreamFold>(
    tables: &mut Tables<'_>,
    keys: &[S::Key],
) -> Result<Vec<S::Row>, sqlx::Error> {
    let sql = format!("SELECT * FROM {}", with_key::<S>(tables));
    sqlx::query_as(AssertSqlSafe(sql)).bind(keys).fetch_all(tables.connection()).await
}

async fn delete<S: StreamFold>(
    tables: &mut Tables<'_>,
    keys: &[S::Key],
) -> Result<(), sqlx::Error> {
    let sql = format!("DELETE FROM {}", with_key::<S>(tables));
    sqlx::query(AssertSqlSafe(sql)).bind(keys).execute(tables.connection()).await?;
    Ok(())
}

/// The table that has a row per stream, where its key is one of those that are bound first.
fn with_key<S: StreamFold>(tables: &Tables<'_>) -> String {
    let Table { name, columns, .. } = S::Row::TABLE;
    // A stream's key is the first column.
    let key = columns.first().map_or("", |column| column.name);
    format!("{}.{name} WHERE {key} = ANY($1)", tables.schema())
}

async fn write<R: Row>(
    connection: &mut PgConnection,
    sql: String,
    table: &Table,
    rows: &[R],
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = rows.iter().map(Row::cells).collect();
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (index, column) in table.columns.iter().enumerate() {
        query = bind(query, column, rows.iter().map(|cells| &cells[index]));
    }
    query.execute(connection).await?;
    Ok(())
}

fn insert(schema: &str, table: &Table) -> String {
    let (name, columns, arrays) = (table.name, names(table), arrays(table));
    format!("INSERT INTO {schema}.{name} ({columns}) SELECT * FROM UNNEST({arrays})")
}

/// The whole row but its key: what has not changed is written as it was.
fn update(schema: &str, table: &Table) -> String {
    let (keys, others) = table.columns.split_at(table.keys);
    let set: Vec<_> =
        others.iter().map(|Column { name, .. }| format!("{name} = made.{name}")).collect();
    let same: Vec<_> =
        keys.iter().map(|Column { name, .. }| format!("kept.{name} = made.{name}")).collect();
    format!(
        "UPDATE {schema}.{} AS kept SET {} FROM UNNEST({}) AS made ({}) WHERE {}",
        table.name,
        set.join(", "),
        arrays(table),
        names(table),
        same.join(" AND "),
    )
}

fn names(table: &Table) -> String {
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    names.join(", ")
}

fn arrays(table: &Table) -> String {
    let arrays = (1..).zip(table.columns);
    let arrays: Vec<_> =
        arrays.map(|(index, column)| format!("${index}::{}[]", column.kind.sql())).collect();
    arrays.join(", ")
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// One column of all rows as an array of its own type.
fn bind<'q, 'c: 'q>(
    query: Statement<'q>,
    column: &Column,
    cells: impl Iterator<Item = &'c Cell<'c>>,
) -> Statement<'q> {
    macro_rules! array {
        ($($pattern:pat => $value:expr),+) => {
            query.bind(cells.map(|cell| match cell { $($pattern => Some($value),)+ _ => None })
                .collect::<Vec<_>>())
        };
    }
    match column.kind {
        Kind::Uuid => array!(Cell::Uuid(value) => *value),
        Kind::Text => array!(Cell::Text(value) => value.to_string()),
        Kind::Int => array!(Cell::Int(value) => *value),
        Kind::Long => array!(Cell::Long(value) => *value),
        // As text: the statement makes a number of it.
        Kind::Whole => array!(Cell::Whole(value) => value.to_string()),
        Kind::Time => array!(Cell::Time(value) => *value),
        Kind::Date => array!(Cell::Date(value) => *value),
        // As text: the statement makes JSON of it.
        Kind::Json => array!(Cell::Json(value) => value.clone()),
    }
}

#[cfg(test)]
mod tests;
