//! How the lines of a replay are written: CloudEvents in JSON, or columns.

use std::{borrow::Cow, str::FromStr};

use domain::shard::ShardId;
use infra::log::EventRecord;
use serde_json::Value;

/// Columns of one replay.
pub(crate) const COLUMNS_MAX: usize = 64;
/// Members that lead to a value.
const PATH_MAX: usize = 8;

/// How events are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Ndjson,
    Csv(Columns),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns(Vec<Column>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    /// Of [`ATTRIBUTES`].
    Attribute(usize),
    /// A member of the data, or all of them.
    Data(Vec<String>),
}

type Attribute = fn(&EventRecord, ShardId) -> String;

/// What an event has beside its data. The names are those of the lines in JSON, but for `stream`, which is
/// the subject there, and `shard`, which an event does not tell.
const ATTRIBUTES: &[(&str, Attribute)] = &[
    ("time", |event, _| event.recorded_at.to_string()),
    ("type", |event, _| event.event_type.to_string()),
    ("stream", |event, _| event.stream.to_string()),
    ("revision", |event, _| event.revision.to_string()),
    ("id", |event, _| event.id.to_string()),
    ("actor", |event, _| event.provenance.actor.to_string()),
    ("commandid", |event, _| event.provenance.command_id.to_string()),
    ("correlationid", |event, _| event.provenance.correlation_id.to_string()),
    ("causationid", |event, _| event.provenance.causation_id.to_string()),
    ("shard", |_, shard| shard.to_string()),
    ("seq", |event, _| event.place.seq.to_string()),
    ("index", |event, _| event.place.index.to_string()),
];
/// The columns of who asks for none.
const DEFAULT: &str = "time,type,stream,revision,actor,data";

impl Format {
    /// What comes before the first event.
    pub(super) fn head(&self) -> Vec<u8> {
        let Self::Csv(Columns(columns)) = self else { return Vec::new() };
        let mut line = Vec::new();
        row(&mut line, columns.iter().map(|column| Cow::Owned(column.name())));
        line
    }

    /// # Errors
    /// The event's data are not JSON.
    pub(super) fn write(
        &self,
        event: &EventRecord,
        shard: ShardId,
        lines: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        match self {
            Self::Ndjson => {
                event.write_envelope(lines)?;
                lines.push(b'\n');
            }
            Self::Csv(Columns(columns)) => {
                let is_needed = columns
                    .iter()
                    .any(|column| matches!(column, Column::Data(path) if !path.is_empty()));
                let data = match is_needed {
                    true => serde_json::from_slice(&event.value)?,
                    false => Value::Null,
                };
                row(lines, columns.iter().map(|column| column.cell(event, shard, &data)));
            }
        }
        Ok(())
    }

    /// A line that is no event.
    pub(super) fn sign(&self, sign: &Value, lines: &mut Vec<u8>) {
        if matches!(self, Self::Csv(_)) {
            lines.push(b'#');
        }
        lines.extend_from_slice(sign.to_string().as_bytes());
        lines.push(b'\n');
    }
}

impl Column {
    fn name(&self) -> String {
        match self {
            Self::Attribute(index) => {
                ATTRIBUTES.get(*index).map(|(name, _)| (*name).to_owned()).unwrap_or_default()
            }
            Self::Data(path) => {
                let members = path.iter().map(String::as_str);
                std::iter::once("data").chain(members).collect::<Vec<_>>().join(".")
            }
        }
    }

    fn cell<'e>(&self, event: &'e EventRecord, shard: ShardId, data: &Value) -> Cow<'e, str> {
        match self {
            Self::Attribute(index) => match ATTRIBUTES.get(*index) {
                Some((_, text)) => text(event, shard).into(),
                None => "".into(),
            },
            Self::Data(path) if path.is_empty() => String::from_utf8_lossy(&event.value),
            Self::Data(path) => match found(data, path) {
                Value::Null => "".into(),
                Value::String(text) => text.into(),
                value => value.to_string().into(),
            },
        }
    }
}

/// What a path leads to; in a list, what it leads to in each item.
fn found(value: &Value, path: &[String]) -> Value {
    match (path.split_first(), value) {
        (None, value) => value.clone(),
        (Some(_), Value::Array(items)) => items.iter().map(|item| found(item, path)).collect(),
        (Some((name, rest)), Value::Object(members)) => {
            members.get(name).map_or(Value::Null, |member| found(member, rest))
        }
        _ => Value::Null,
    }
}

/// A value that looks like a line that is no event is put in quotes.
fn row<'c>(lines: &mut Vec<u8>, cells: impl Iterator<Item = Cow<'c, str>>) {
    let mut writer = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(lines);
    // What is written into memory cannot fail.
    writer.write_record(cells.map(|cell| cell.into_owned())).ok();
    writer.flush().ok();
}

impl Default for Columns {
    fn default() -> Self {
        Self(DEFAULT.split(',').filter_map(|name| column(name).ok()).collect())
    }
}

impl FromStr for Columns {
    type Err = Cow<'static, str>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let columns = text.split(',').map(column).collect::<Result<Vec<_>, _>>()?;
        if columns.len() > COLUMNS_MAX {
            return Err(format!("at most {COLUMNS_MAX} columns").into());
        }
        Ok(Self(columns))
    }
}

fn column(name: &str) -> Result<Column, Cow<'static, str>> {
    if let Some(index) = ATTRIBUTES.iter().position(|(known, _)| *known == name) {
        return Ok(Column::Attribute(index));
    }
    let mut path = name.split('.').map(str::to_owned);
    let is_data = path.next().as_deref() == Some("data");
    let path: Vec<_> = path.collect();
    if is_data && path.len() <= PATH_MAX && path.iter().all(|member| is_member(member)) {
        return Ok(Column::Data(path));
    }
    let known: Vec<_> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
    let known = known.join(", ");
    Err(format!("`{name}` is no column: there are {known}, data, and data.<member>").into())
}

/// A member of data, as paths name it.
pub(super) fn is_member(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// One column, as a pattern.
pub(super) fn pattern() -> String {
    let known: Vec<_> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
    format!("^({}|data([.][A-Za-z0-9_]{{1,64}}){{0,{PATH_MAX}}})$", known.join("|"))
}

#[cfg(test)]
mod tests {
    use infra::log::sample;

    use super::*;

    #[track_caller]
    fn check(columns: &str, data: &'static str, expected: &str) {
        let format = Format::Csv(columns.parse().unwrap());
        let stream = "stock/A-1".parse().unwrap();
        let event = sample::stored(stream, 1, "tradewind.stock.received.v1", data);
        let mut lines = format.head();
        format.write(&event, ShardId::new(3), &mut lines).unwrap();
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
    }

    #[test]
    fn a_row_has_the_columns_that_were_asked_for() {
        let data = r#"{"total":{"amount":5},"name":"a, \"b\"","lines":[{"sku":"A"},{}],"x":null}"#;
        check(
            "stream,shard,data.total.amount,data.name",
            data,
            "stream,shard,data.total.amount,data.name\nstock/A-1,3,5,\"a, \"\"b\"\"\"\n",
        );
        check(
            "data.lines.sku,data.x,data.y,data.total",
            data,
            "data.lines.sku,data.x,data.y,data.total\n\"[\"\"A\"\",null]\",,,\"{\"\"amount\"\":5}\"\n",
        );
        check("data", "[1, 2]", "data\n\"[1, 2]\"\n");
    }

    #[test]
    fn a_value_is_not_taken_for_a_cursor() {
        check(
            "data.a,type",
            r##"{"a":"#{}"}"##,
            "data.a,type\n\"#{}\",tradewind.stock.received.v1\n",
        );
    }

    #[test]
    fn columns_are_attributes_and_members_of_the_data() {
        for bad in ["", "time,", "epoch", "data.", "data.a b", "subject", "data.a.b.c.d.e.f.g.h.i"]
        {
            assert!(bad.parse::<Columns>().is_err(), "{bad}");
        }
        let told = "times".parse::<Columns>().unwrap_err();
        assert!(told.contains("times") && told.contains("stream"), "{told}");
        assert_eq!(DEFAULT.parse(), Ok(Columns::default()));
    }
}
