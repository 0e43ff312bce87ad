//! `COPY … FROM STDIN` in PostgreSQL's binary form.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use read_models::{Cell, Table};
use sqlx::PgConnection;

use super::names;

/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;
const NULL: i32 = -1;
/// The version of jsonb's binary form.
const JSONB: u8 = 1;
/// Bytes that go out at once.
const CHUNK_BYTES: usize = 256 << 10;

pub(super) async fn rows<'r>(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
    rows: impl Iterator<Item = Result<Vec<Cell<'r>>, sqlx::Error>>,
) -> Result<(), sqlx::Error> {
    let (name, columns) = (table.name, names(table));
    let copy = format!("COPY {schema}.{name} ({columns}) FROM STDIN (FORMAT binary)");
    let mut copy = connection.copy_in_raw(&copy).await?;
    let mut buffer = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    buffer.extend_from_slice(HEADER);
    for cells in rows {
        put_row(&mut buffer, &cells?);
        if buffer.len() >= CHUNK_BYTES {
            copy.send(&*buffer).await?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&TRAILER.to_be_bytes());
    copy.send(&*buffer).await?;
    copy.finish().await?;
    Ok(())
}

fn put_row(buffer: &mut Vec<u8>, cells: &[Cell<'_>]) {
    // A table has a few columns.
    let count = i16::try_from(cells.len()).unwrap_or(i16::MAX);
    buffer.extend_from_slice(&count.to_be_bytes());
    for cell in cells {
        match cell {
            Cell::Null => buffer.extend_from_slice(&NULL.to_be_bytes()),
            Cell::Uuid(value) => put(buffer, &[value.as_bytes()]),
            Cell::Text(value) => put(buffer, &[value.as_bytes()]),
            Cell::Int(value) => put(buffer, &[&value.to_be_bytes()]),
            Cell::Long(value) => put(buffer, &[&value.to_be_bytes()]),
            Cell::Whole(value) => put(buffer, &[&numeric(*value)]),
            Cell::Time(value) => put(buffer, &[&micros(*value).to_be_bytes()]),
            Cell::Date(value) => put(buffer, &[&days(*value).to_be_bytes()]),
            Cell::Json(value) => put(buffer, &[&[JSONB], value.as_bytes()]),
        }
    }
}

fn put(buffer: &mut Vec<u8>, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    // PostgreSQL refuses a field of more than 1 GB, and says so.
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    buffer.extend_from_slice(&length.to_be_bytes());
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

/// `numeric` in binary: how many digits to the base of 10,000, what power of it the first has, sign,
/// decimal places, and the digits.
fn numeric(value: i128) -> Vec<u8> {
    const BASE: u128 = 10_000;
    const NEGATIVE: i16 = 0x4000;
    let (mut rest, mut digits) = (value.unsigned_abs(), Vec::new());
    while rest > 0 {
        digits.push(i16::try_from(rest % BASE).unwrap_or_default());
        rest /= BASE;
    }
    // 128 bits have ten such digits.
    let count = i16::try_from(digits.len()).unwrap_or_default();
    let sign = if value < 0 { NEGATIVE } else { 0 };
    let head = [count, (count - 1).max(0), sign, 0];
    head.into_iter().chain(digits.into_iter().rev()).flat_map(i16::to_be_bytes).collect()
}

/// PostgreSQL counts from the year 2000.
fn micros(at: DateTime<Utc>) -> i64 {
    const EPOCH: i64 = 946_684_800_000_000;
    at.timestamp_micros().saturating_sub(EPOCH)
}

fn days(day: NaiveDate) -> i32 {
    const EPOCH_FROM_CE: i32 = 730_120;
    day.num_days_from_ce().saturating_sub(EPOCH_FROM_CE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_days_count_from_2000() {
        assert_eq!(micros("2000-01-01T00:00:01Z".parse().unwrap()), 1_000_000);
        assert_eq!(days("2000-03-01".parse().unwrap()), 60);
        assert_eq!(days("1999-12-31".parse().unwrap()), -1);
    }

    #[test]
    fn whole_numbers_are_digits_to_the_base_of_ten_thousand() {
        assert_eq!(numeric(0), [0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(numeric(7), [0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(numeric(-20_003), [0, 2, 0, 1, 0x40, 0, 0, 0, 0, 2, 0, 3]);
    }

    #[test]
    fn a_row_is_its_fields_with_their_lengths() {
        let mut buffer = Vec::new();
        put_row(&mut buffer, &[Cell::Int(7), Cell::Null, Cell::Json("{}".to_owned())]);
        let expected = [
            0, 3, // fields
            0, 0, 0, 4, 0, 0, 0, 7, //
            255, 255, 255, 255, //
            0, 0, 0, 3, 1, b'{', b'}',
        ];
        assert_eq!(buffer, expected);
    }
}
