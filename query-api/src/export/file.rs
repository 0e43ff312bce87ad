//! Parquet files of one table: sorted by time, one for each day.

use std::{collections::BTreeMap, sync::Arc};

use arrow_schema::Schema;
use bytes::Bytes;
use domain::timestamp::Timestamp;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    batch::{BatchError, DATE, Row, to_batch},
    delta::{Add, Field, schema},
};

/// Rows that are made columns of at once.
const BATCH_ROWS: usize = 4_096;
/// What a reader can skip is skipped in groups. Some 5 to 10 MB, compressed.
const GROUP_ROWS_MAX: usize = 128 << 10;

/// A file that no version names yet.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) add: Add,
    pub(crate) bytes: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// Every row once, in as few files as there are days.
pub(crate) fn write(
    columns: &[Field],
    lines: &Bytes,
    rows: &[Row],
    now: Timestamp,
) -> Result<Vec<DataFile>, FileError> {
    let mut days = BTreeMap::<_, Vec<Row>>::new();
    for row in rows {
        days.entry(row.date()).or_default().push(row.clone());
    }
    let schema = Arc::new(Schema::new(schema::to_arrow(columns)));
    let mut files = Vec::new();
    for (day, mut rows) in days {
        rows.sort_unstable_by_key(Row::order);
        let mut writer = writer(Arc::clone(&schema))?;
        for rows in rows.chunks(BATCH_ROWS) {
            writer.write(&to_batch(columns, &schema, lines, rows)?)?;
        }
        let stats = Stats {
            rows: rows.len(),
            time: bounds(rows.iter().map(|row| row.at)),
            seq: bounds(rows.iter().map(|row| row.seq)),
        };
        files.push(data_file(&day.to_string(), &stats, writer, now)?);
    }
    Ok(files)
}

/// What readers may know of a file without opening it.
#[derive(Clone, Debug)]
pub(super) struct Stats {
    pub(super) rows: usize,
    pub(super) time: (i64, i64),
    pub(super) seq: (i64, i64),
}

impl Stats {
    /// Of both files together.
    pub(super) fn and(&self, other: &Self) -> Self {
        let both = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
        let (time, seq) = (both(self.time, other.time), both(self.seq, other.seq));
        Self { rows: self.rows + other.rows, time, seq }
    }
}

pub(super) fn writer(schema: Arc<Schema>) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_created_by(concat!("tradewind ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    ArrowWriter::try_new(Vec::new(), schema, Some(properties))
}

pub(super) fn data_file(
    day: &str,
    stats: &Stats,
    writer: ArrowWriter<Vec<u8>>,
    now: Timestamp,
) -> Result<DataFile, ParquetError> {
    let bytes = Bytes::from(writer.into_inner()?);
    let stats = json!({
        "numRecords": stats.rows,
        "minValues": { "time": text(stats.time.0), "seq": stats.seq.0 },
        "maxValues": { "time": text(stats.time.1), "seq": stats.seq.1 },
        "nullCount": { "time": 0, "seq": 0 },
    });
    let add = Add {
        path: format!("{DATE}={day}/part-{}.zstd.parquet", Uuid::now_v7()),
        partition_values: [(DATE.to_owned(), Some(day.to_owned()))].into(),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        modification_time: now.as_micros() / 1_000,
        data_change: true,
        stats: Some(stats.to_string()),
    };
    Ok(DataFile { add, bytes })
}

fn text(micros: i64) -> String {
    Timestamp::from_micros(micros).to_string()
}

fn bounds(values: impl Iterator<Item = i64> + Clone) -> (i64, i64) {
    (values.clone().min().unwrap_or_default(), values.max().unwrap_or_default())
}
