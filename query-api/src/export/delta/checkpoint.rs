//! A whole log in one Parquet file: a row for each action that still counts, a column for each kind.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::Bytes;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};
use serde_json::Value;

use super::{
    action::{Action, Line, to_lines},
    schema::{Field, Kind, to_arrow},
    snapshot::Snapshot,
};
use crate::export::shred::Columns;

/// The file, and how many actions it holds.
pub(super) fn write(snapshot: &Snapshot) -> Result<(Bytes, usize), String> {
    let actions: Vec<_> =
        [Action::Protocol(snapshot.protocol.clone()), Action::MetaData(snapshot.meta.clone())]
            .into_iter()
            .chain(snapshot.txns.values().cloned().map(Action::Txn))
            .chain(snapshot.removed.values().cloned().map(Action::Remove))
            .chain(snapshot.files.values().cloned().map(Action::Add))
            .collect();
    let fields = columns();
    let mut shredded = Columns::new(&fields);
    for line in to_lines(&actions)?.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        shredded.push(line).map_err(|error| error.to_string())?;
    }
    let written = || {
        let schema = Arc::new(Schema::new(to_arrow(&fields)));
        let batch = RecordBatch::try_new(Arc::clone(&schema), shredded.finish()?)?;
        let level = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(level).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    let bytes = written().map_err(|error| error.to_string())?;
    Ok((bytes.into(), actions.len()))
}

pub(super) fn read(bytes: Bytes) -> Result<Vec<Line>, String> {
    let read = || {
        let reader = SerializedFileReader::new(bytes)?;
        let rows: Result<Vec<_>, _> = reader.get_row_iter(None)?.collect();
        rows
    };
    let rows = read().map_err(|error| error.to_string())?;
    let lines = rows.iter().map(|row| {
        serde_json::from_value(without_nulls(row.to_json_value()))
            .map_err(|error| error.to_string())
    });
    lines.collect()
}

/// Members that a line of JSON would lack.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                // A value of a partition may be null.
                let is_map = name == "partitionValues";
                (name, if is_map { value } else { without_nulls(value) })
            });
            members.filter(|(_, value)| !value.is_null()).collect()
        }
        other => other,
    }
}

fn columns() -> Vec<Field> {
    use Kind::{Boolean, Int, Long, Text};
    let texts = || Kind::Map(Box::new(Text));
    let column = |name: &str, members: Vec<(&str, Kind)>| {
        let members = members.into_iter().map(|(name, kind)| Field::new(name, kind));
        Field::new(name, Kind::Struct(members.collect()))
    };
    vec![
        column("txn", vec![("appId", Text), ("version", Long), ("lastUpdated", Long)]),
        column(
            "add",
            vec![
                ("path", Text),
                ("partitionValues", texts()),
                ("size", Long),
                ("modificationTime", Long),
                ("dataChange", Boolean),
                ("stats", Text),
            ],
        ),
        column(
            "remove",
            vec![
                ("path", Text),
                ("deletionTimestamp", Long),
                ("dataChange", Boolean),
                ("extendedFileMetadata", Boolean),
                ("partitionValues", texts()),
                ("size", Long),
            ],
        ),
        column(
            "metaData",
            vec![
                ("id", Text),
                ("name", Text),
                ("description", Text),
                (
                    "format",
                    Kind::Struct(vec![
                        Field::new("provider", Text),
                        Field::new("options", texts()),
                    ]),
                ),
                ("schemaString", Text),
                ("partitionColumns", Kind::List(Box::new(Text))),
                ("configuration", texts()),
                ("createdTime", Long),
            ],
        ),
        column("protocol", vec![("minReaderVersion", Int), ("minWriterVersion", Int)]),
    ]
}
