//! Events that wait to be written: their lines in one piece, and for each table which of them are its rows.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Int64Builder, StringBuilder, TimestampMicrosecondBuilder},
};
use arrow_schema::{ArrowError, Schema};
use bytes::Bytes;
use chrono::NaiveDate;

use super::{
    delta::{Field, Kind},
    event::{Event, InvalidLine},
    shred::Columns,
};

/// The table of all events.
pub(crate) const EVENTS: &str = "events";
/// The column by which tables are parted.
pub(crate) const DATE: &str = "date";
const DATA: &str = "data";

/// One event in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// In microseconds.
    pub(crate) at: i64,
    pub(crate) shard: u32,
    pub(crate) seq: i64,
    index: i64,
    line: Range<usize>,
}

/// What has been read since the last flush.
#[derive(Default)]
pub(crate) struct Buffer {
    lines: Vec<u8>,
    rows: BTreeMap<String, Vec<Row>>,
}

/// The same, when nothing more comes to it.
pub(crate) struct Full {
    pub(crate) lines: Bytes,
    pub(crate) rows: BTreeMap<String, Vec<Row>>,
}

/// A batch of rows could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error(transparent)]
    Line(#[from] InvalidLine),
    #[error("event {id} does not fit the columns of its type: {source}")]
    Data { id: String, source: serde_json::Error },
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl Row {
    /// The day in UTC.
    pub(crate) fn date(&self) -> NaiveDate {
        chrono::DateTime::from_timestamp_micros(self.at).unwrap_or_default().date_naive()
    }

    /// Rows are sorted by it.
    pub(crate) fn order(&self) -> (i64, u32, i64, i64) {
        (self.at, self.shard, self.seq, self.index)
    }
}

impl Buffer {
    pub(crate) fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// Takes whole lines, each an event. `has_table` tells of which types there is a table of their own.
    pub(crate) fn push(
        &mut self,
        lines: &[u8],
        shards: u32,
        has_table: impl Fn(&str) -> bool,
    ) -> Result<(), InvalidLine> {
        let mut start = self.lines.len();
        self.lines.extend_from_slice(lines);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let event = Event::read(line)?;
            let event_type = event.event_type()?;
            let row = Row {
                at: event.time()?.as_micros(),
                shard: event.shard(shards)?,
                seq: event.seq,
                index: event.index,
                line: start..start + line.len(),
            };
            start += line.len();
            if has_table(event_type.name) {
                self.rows.entry(event_type.table()).or_default().push(row.clone());
            }
            self.rows.entry(EVENTS.to_owned()).or_default().push(row);
        }
        Ok(())
    }

    pub(crate) fn take(&mut self) -> Full {
        let Self { lines, rows } = std::mem::take(self);
        Full { lines: lines.into(), rows }
    }
}

/// The columns of a table whose events have these data.
pub(crate) fn columns(data: Kind) -> Vec<Field> {
    use Kind::{Date, Long, Text, Time};
    let mut columns: Vec<_> = [
        ("id", Text),
        ("type", Text),
        ("version", Long),
        ("stream", Text),
        ("stream_type", Text),
        ("revision", Long),
        ("time", Time),
        ("actor", Text),
        ("command_id", Text),
        ("correlation_id", Text),
        ("causation_id", Text),
        ("shard", Long),
        ("seq", Long),
        ("index", Long),
    ]
    .map(|(name, kind)| Field::new(name, kind))
    .into();
    // Parquet has no struct without members.
    if data != Kind::Struct(Vec::new()) {
        columns.push(Field::new(DATA, data));
    }
    columns.push(Field::new(DATE, Date));
    columns
}

/// Of a table's columns those that its files have: the date is in their paths, and what others have added is
/// null.
pub(crate) fn columns_of_files(table: &[Field]) -> Vec<Field> {
    let ours = columns(Kind::Json);
    let is_ours = |field: &&Field| {
        field.name != DATE && ours.iter().any(|our| our.name.eq_ignore_ascii_case(&field.name))
    };
    table.iter().filter(is_ours).cloned().collect()
}

/// Rows as the columns of a file.
pub(crate) fn to_batch(
    columns: &[Field],
    schema: &Arc<Schema>,
    lines: &Bytes,
    rows: &[Row],
) -> Result<RecordBatch, BatchError> {
    let data = columns.iter().find(|column| column.name == DATA);
    let mut builders = Builders::new(data);
    for row in rows {
        builders.push(lines.get(row.line.clone()).unwrap_or_default(), row)?;
    }
    let arrays = builders.finish()?;
    let by_name = |column: &Field| {
        let array = arrays.iter().find(|(name, _)| *name == column.name);
        array.map(|(_, array)| Arc::clone(array))
    };
    let arrays = columns.iter().filter_map(by_name).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
}

#[derive(Default)]
struct Texts {
    id: StringBuilder,
    event_type: StringBuilder,
    stream: StringBuilder,
    stream_type: StringBuilder,
    actor: StringBuilder,
    command_id: StringBuilder,
    correlation_id: StringBuilder,
    causation_id: StringBuilder,
}

#[derive(Default)]
struct Numbers {
    version: Int64Builder,
    revision: Int64Builder,
    shard: Int64Builder,
    seq: Int64Builder,
    index: Int64Builder,
}

struct Builders {
    texts: Texts,
    numbers: Numbers,
    time: TimestampMicrosecondBuilder,
    data: Option<Data>,
}

enum Data {
    Json(StringBuilder),
    Typed(Columns),
}

impl Builders {
    fn new(data: Option<&Field>) -> Self {
        let time = TimestampMicrosecondBuilder::new().with_data_type(Kind::Time.to_arrow());
        let data = data.map(|field| match &field.kind {
            Kind::Json => Data::Json(StringBuilder::new()),
            _ => Data::Typed(Columns::new(std::slice::from_ref(field))),
        });
        Self { texts: Texts::default(), numbers: Numbers::default(), time, data }
    }

    fn push(&mut self, line: &[u8], row: &Row) -> Result<(), BatchError> {
        let event = Event::read(line)?;
        let event_type = event.event_type()?;
        let Self { texts, numbers, time, data } = self;
        texts.id.append_value(&event.id);
        texts.event_type.append_value(event_type.name);
        texts.stream.append_value(&event.subject);
        texts.stream_type.append_value(event_type.stream_type());
        texts.actor.append_option(event.actor.as_deref());
        texts.command_id.append_value(&event.commandid);
        let or_command =
            |id: Option<&std::borrow::Cow<'_, str>>| id.unwrap_or(&event.commandid).to_string();
        texts.correlation_id.append_value(or_command(event.correlationid.as_ref()));
        texts.causation_id.append_value(or_command(event.causationid.as_ref()));
        numbers.version.append_value(event_type.version);
        numbers.revision.append_value(event.revision);
        numbers.shard.append_value(row.shard.into());
        numbers.seq.append_value(event.seq);
        numbers.index.append_value(event.index);
        time.append_value(row.at);
        match data {
            Some(Data::Json(texts)) => texts.append_value(event.data.get()),
            // The whole line, of which only this member has a column.
            Some(Data::Typed(columns)) => columns
                .push(line)
                .map_err(|source| BatchError::Data { id: event.id.to_string(), source })?,
            None => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<(&'static str, ArrayRef)>, ArrowError> {
        let Self { texts, numbers, mut time, data } = self;
        let text = |mut builder: StringBuilder| Arc::new(builder.finish()) as ArrayRef;
        let number = |mut builder: Int64Builder| Arc::new(builder.finish()) as ArrayRef;
        let mut arrays = vec![
            ("id", text(texts.id)),
            ("type", text(texts.event_type)),
            ("version", number(numbers.version)),
            ("stream", text(texts.stream)),
            ("stream_type", text(texts.stream_type)),
            ("revision", number(numbers.revision)),
            ("time", Arc::new(time.finish()) as ArrayRef),
            ("actor", text(texts.actor)),
            ("command_id", text(texts.command_id)),
            ("correlation_id", text(texts.correlation_id)),
            ("causation_id", text(texts.causation_id)),
            ("shard", number(numbers.shard)),
            ("seq", number(numbers.seq)),
            ("index", number(numbers.index)),
        ];
        let data = data.map(|data| match data {
            Data::Json(builder) => Ok(vec![text(builder)]),
            Data::Typed(columns) => columns.finish(),
        });
        if let Some(array) = data.transpose()?.and_then(|arrays| arrays.into_iter().next()) {
            arrays.push((DATA, array));
        }
        Ok(arrays)
    }
}
