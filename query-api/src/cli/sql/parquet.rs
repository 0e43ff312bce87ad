//! Rows as Parquet: a column of a type of its own for each of theirs. Lists and documents are JSON.

use std::{io::Write, sync::Arc};

use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    data_type::{
        BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray,
        FixedLenByteArrayType, Int32Type, Int64Type,
    },
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};
use uuid::Uuid;

use super::{
    format::{Cells, Sink},
    value::{Column, Kind},
};

/// Digits of the widest decimal that readers take.
const PRECISION_MAX: usize = 38;

/// All rows, by column: how wide a decimal is shows when all have come.
pub(super) struct Parquet {
    out: Option<Box<dyn Write + Send>>,
    values: Vec<Vec<Option<String>>>,
}

impl Parquet {
    pub(super) fn new(out: Box<dyn Write + Send>, columns: usize) -> Self {
        Self { out: Some(out), values: vec![Vec::new(); columns] }
    }
}

impl Sink for Parquet {
    fn row(&mut self, _: &[Column], cells: &Cells) -> Result<()> {
        for (values, cell) in self.values.iter_mut().zip(cells) {
            values.push(cell.clone());
        }
        Ok(())
    }

    fn end(&mut self, columns: &[Column]) -> Result<()> {
        let scales: Vec<usize> = self.values.iter().map(|values| scale(values)).collect();
        let fields = columns.iter().zip(&scales).map(|(column, scale)| field(column, *scale));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let out = self.out.take().context("written once")?;
        let mut file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        let mut group = file.next_row_group()?;
        for ((column, scale), values) in columns.iter().zip(scales).zip(&self.values) {
            let mut writer = group.next_column()?.context("a column of the schema")?;
            let written = write(&mut writer, &column.kind, scale, values);
            written.with_context(|| format!("column {:?}", column.name))?;
            writer.close()?;
        }
        group.close()?;
        file.into_inner()?.flush()?;
        Ok(())
    }
}

fn field(column: &Column, scale: usize) -> Result<TypePtr> {
    let (physical, logical) = match &column.kind {
        Kind::Bool => (Physical::BOOLEAN, None),
        Kind::Whole => (Physical::INT64, None),
        Kind::Float => (Physical::DOUBLE, None),
        Kind::Date => (Physical::INT32, Some(LogicalType::Date)),
        Kind::Instant { zoned } => {
            (Physical::INT64, Some(LogicalType::timestamp(*zoned, TimeUnit::MICROS)))
        }
        Kind::Uuid => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)),
        Kind::Decimal => {
            let logical =
                LogicalType::decimal(i32::try_from(scale)?, i32::try_from(PRECISION_MAX)?);
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(logical))
        }
        Kind::Json | Kind::List(_) => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let mut field = Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    if physical == Physical::FIXED_LEN_BYTE_ARRAY {
        field = field.with_length(16);
    }
    if column.kind == Kind::Decimal {
        field =
            field.with_precision(i32::try_from(PRECISION_MAX)?).with_scale(i32::try_from(scale)?);
    }
    Ok(Arc::new(field.build()?))
}

fn write(
    writer: &mut SerializedColumnWriter<'_>,
    kind: &Kind,
    scale: usize,
    values: &[Option<String>],
) -> Result<()> {
    match kind {
        Kind::Bool => put::<BoolType>(writer, values, |text| Ok(text == "t")),
        Kind::Whole => put::<Int64Type>(writer, values, |text| Ok(text.parse()?)),
        Kind::Float => put::<DoubleType>(writer, values, |text| Ok(text.parse()?)),
        Kind::Date => put::<Int32Type>(writer, values, |text| {
            let day: NaiveDate = text.parse().with_context(|| beyond(text))?;
            Ok(i32::try_from(day.signed_duration_since(NaiveDate::default()).num_days())?)
        }),
        Kind::Instant { zoned } => put::<Int64Type>(writer, values, |text| {
            let plain = kind.plain(text);
            let instant = if *zoned {
                DateTime::parse_from_rfc3339(&plain).map(|at| at.timestamp_micros())
            } else {
                plain.parse().map(|at: NaiveDateTime| at.and_utc().timestamp_micros())
            };
            instant.with_context(|| beyond(text))
        }),
        Kind::Uuid => put::<FixedLenByteArrayType>(writer, values, |text| {
            Ok(fixed(text.parse::<Uuid>()?.as_bytes()))
        }),
        Kind::Decimal => put::<FixedLenByteArrayType>(writer, values, |text| {
            Ok(fixed(&unscaled(text, scale).with_context(|| beyond(text))?.to_be_bytes()))
        }),
        Kind::Json | Kind::List(_) => put::<ByteArrayType>(writer, values, |text| {
            Ok(ByteArray::from(kind.plain(text).into_owned().into_bytes()))
        }),
        Kind::Text => put::<ByteArrayType>(writer, values, |text| Ok(ByteArray::from(text))),
    }
}

fn beyond(text: &str) -> String {
    format!("Parquet has no place for {text}: cast the column to text")
}

fn fixed(bytes: &[u8; 16]) -> FixedLenByteArray {
    FixedLenByteArray::from(bytes.to_vec())
}

fn put<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &[Option<String>],
    value: impl Fn(&str) -> Result<T::T>,
) -> Result<()> {
    let there: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> =
        values.iter().flatten().map(|text| value(text)).collect::<Result<_>>()?;
    writer.typed::<T>().write_batch(&values, Some(&there), None)?;
    Ok(())
}

/// Digits behind the point of the value that has the most.
fn scale(values: &[Option<String>]) -> usize {
    let places = |text: &String| text.split_once('.').map_or(0, |(_, places)| places.len());
    values.iter().flatten().map(places).max().unwrap_or(0).min(PRECISION_MAX)
}

/// A decimal as a whole number of its last place.
fn unscaled(text: &str, scale: usize) -> Result<i128> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{places:0<scale$}");
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    if places.len() > scale || count > PRECISION_MAX {
        return Err(anyhow!("more than {PRECISION_MAX} digits"));
    }
    Ok(digits.parse()?)
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };

    use super::*;
    use crate::cli::sql::{format::Format, output::Sheet};

    #[test]
    fn columns_have_types_and_values_come_back() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let kinds = [
            ("n", "INT8"),
            ("revenue", "NUMERIC"),
            ("at", "TIMESTAMPTZ"),
            ("day", "DATE"),
            ("id", "UUID"),
            ("doc", "JSONB"),
            ("name", "TEXT"),
            ("ok", "BOOL"),
            ("share", "FLOAT8"),
        ];
        let columns = kinds.map(|(name, kind)| Column::new(name, Kind::of(kind))).into();
        let out = Box::new(file.reopen().unwrap());
        let mut sheet = Sheet::new(Format::Parquet, columns, out).unwrap();
        let full = [
            "7",
            "-12.5",
            "1970-01-01 00:00:01+00",
            "1970-01-03",
            "00000000-0000-0000-0000-000000000001",
            "{\"a\": 1}",
            "Tea",
            "t",
            "0.25",
        ];
        sheet.row(&full.map(|text| Some(text.to_owned()))).unwrap();
        sheet.row(&[const { None }; 9]).unwrap();
        let mut other = full.map(|text| Some(text.to_owned()));
        other[1] = Some("0.125".to_owned());
        sheet.row(&other).unwrap();
        sheet.end().unwrap();

        let reader = SerializedFileReader::new(file.reopen().unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(
            (rows[0].get_long(0).unwrap(), rows[0].get_string(6).unwrap().as_str()),
            (7, "Tea")
        );
        assert_eq!(rows[0].get_timestamp_micros(2).unwrap(), 1_000_000);
        let day = rows[0].get_column_iter().nth(3).unwrap().1;
        assert_eq!(*day, parquet::record::Field::Date(2));
        assert_eq!((rows[0].get_bool(7).unwrap(), rows[0].get_double(8).unwrap()), (true, 0.25));
        assert_eq!(rows[0].get_decimal(1).unwrap().data(), (-12_500_i128).to_be_bytes());
        assert_eq!(rows[2].get_decimal(1).unwrap().scale(), 3);
        assert!(rows[1].get_long(0).is_err(), "null");
    }

    #[test]
    fn decimals_that_do_not_fit_are_told() {
        assert_eq!(unscaled("-0.5", 2).unwrap(), -50);
        assert_eq!(unscaled("12", 0).unwrap(), 12);
        assert!(unscaled("NaN", 0).is_err());
        assert!(unscaled(&"9".repeat(39), 0).is_err());
    }
}
