//! Columns: as Delta's log writes them, as Parquet has them, and what becomes of them when events get new
//! members.
//!
//! All columns may be null. So a table can always get another, and a value that an old event lacks needs
//! no thought.

use std::sync::Arc;

use arrow_schema::{DataType, Fields, TimeUnit};
use serde_json::{Map, Value, json};

/// A column, or a member of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// What fits no column, as JSON text.
    Json,
    Int,
    Long,
    Double,
    Boolean,
    /// An instant in microseconds, UTC.
    Time,
    Date,
    Struct(Vec<Field>),
    List(Box<Kind>),
    /// From texts.
    Map(Box<Kind>),
    /// Somebody else's, which is left as it is.
    Other(Value),
}

/// A column cannot be both.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} is {have} in the table, and {want} in the events")]
pub(crate) struct Clash {
    column: String,
    have: String,
    want: String,
}

/// The text is no schema of a table.
#[derive(Debug, thiserror::Error)]
#[error("its schema cannot be read: {0}")]
pub(crate) struct InvalidSchema(String);

impl Field {
    pub(crate) fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }

    fn to_arrow(&self) -> arrow_schema::Field {
        arrow_schema::Field::new(&self.name, self.kind.to_arrow(), true)
    }
}

impl Kind {
    pub(crate) fn to_arrow(&self) -> DataType {
        match self {
            Self::Text | Self::Json | Self::Other(_) => DataType::Utf8,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::Date => DataType::Date32,
            Self::Struct(fields) => DataType::Struct(to_arrow(fields)),
            Self::List(item) => DataType::List(item.as_item()),
            Self::Map(value) => DataType::Map(value.as_entries(), false),
        }
    }

    /// As the item of a list.
    pub(crate) fn as_item(&self) -> Arc<arrow_schema::Field> {
        Arc::new(arrow_schema::Field::new("element", self.to_arrow(), true))
    }

    /// As the entries of a map.
    pub(crate) fn as_entries(&self) -> Arc<arrow_schema::Field> {
        let fields = [
            arrow_schema::Field::new("key", DataType::Utf8, false),
            arrow_schema::Field::new("value", self.to_arrow(), true),
        ];
        let entries = DataType::Struct(fields.into_iter().collect());
        Arc::new(arrow_schema::Field::new("key_value", entries, false))
    }

    fn to_delta(&self) -> Value {
        match self {
            Self::Text | Self::Json => "string".into(),
            Self::Int => "integer".into(),
            Self::Long => "long".into(),
            Self::Double => "double".into(),
            Self::Boolean => "boolean".into(),
            Self::Time => "timestamp".into(),
            Self::Date => "date".into(),
            Self::Struct(fields) => to_delta(fields),
            Self::List(item) => {
                json!({ "type": "array", "elementType": item.to_delta(), "containsNull": true })
            }
            Self::Map(value) => json!({
                "type": "map", "keyType": "string", "valueType": value.to_delta(),
                "valueContainsNull": true,
            }),
            Self::Other(other) => other.clone(),
        }
    }

    fn of_delta(value: &Value) -> Result<Self, InvalidSchema> {
        let nested = value.get("type").and_then(Value::as_str);
        let member = |name: &str| value.get(name).map(Self::of_delta).transpose();
        Ok(match (value.as_str(), nested) {
            (Some("string"), _) => Self::Text,
            (Some("integer"), _) => Self::Int,
            (Some("long"), _) => Self::Long,
            (Some("double"), _) => Self::Double,
            (Some("boolean"), _) => Self::Boolean,
            (Some("timestamp"), _) => Self::Time,
            (Some("date"), _) => Self::Date,
            (_, Some("struct")) => Self::Struct(fields_of(value)?),
            (_, Some("array")) => match member("elementType")? {
                Some(item) => Self::List(Box::new(item)),
                None => return Err(InvalidSchema(value.to_string())),
            },
            (_, Some("map")) if value.get("keyType") == Some(&"string".into()) => {
                match member("valueType")? {
                    Some(item) => Self::Map(Box::new(item)),
                    None => return Err(InvalidSchema(value.to_string())),
                }
            }
            _ => Self::Other(value.clone()),
        })
    }

    /// In an error's text.
    fn told(&self) -> String {
        match self.to_delta() {
            Value::String(name) => format!("a {name}"),
            nested => format!("a {}", nested["type"].as_str().unwrap_or("type of its own")),
        }
    }
}

pub(crate) fn to_arrow(fields: &[Field]) -> Fields {
    fields.iter().map(Field::to_arrow).collect()
}

fn to_delta(fields: &[Field]) -> Value {
    let fields = fields.iter().map(|Field { name, kind }| {
        json!({ "name": name, "type": kind.to_delta(), "nullable": true, "metadata": {} })
    });
    json!({ "type": "struct", "fields": fields.collect::<Vec<_>>() })
}

/// The text that the log has of it.
pub(crate) fn write(fields: &[Field]) -> String {
    to_delta(fields).to_string()
}

/// # Errors
/// It is none, or asks of writers what is not done here.
pub(crate) fn read(text: &str) -> Result<Vec<Field>, InvalidSchema> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| InvalidSchema(error.to_string()))?;
    fields_of(&value)
}

fn fields_of(value: &Value) -> Result<Vec<Field>, InvalidSchema> {
    let fields = value.get("fields").and_then(Value::as_array);
    let fields = fields.ok_or_else(|| InvalidSchema("it has no fields".to_owned()))?;
    fields.iter().map(field_of).collect()
}

fn field_of(value: &Value) -> Result<Field, InvalidSchema> {
    let (Some(name), Some(kind)) = (value.get("name").and_then(Value::as_str), value.get("type"))
    else {
        return Err(InvalidSchema("a field has no name or no type".to_owned()));
    };
    let asks = |metadata: &Map<String, Value>| metadata.contains_key("delta.invariants");
    if value.get("metadata").and_then(Value::as_object).is_some_and(asks) {
        return Err(InvalidSchema(format!(
            "column {name} has invariants, which are not kept here"
        )));
    }
    Ok(Field::new(name, Kind::of_delta(kind)?))
}

/// What a table has and what events have: its own columns first, new ones behind them.
///
/// # Errors
/// One column is of two types.
pub(crate) fn merged(have: &[Field], want: &[Field]) -> Result<Vec<Field>, Clash> {
    merged_at("", have, want)
}

fn merged_at(path: &str, have: &[Field], want: &[Field]) -> Result<Vec<Field>, Clash> {
    let mut fields = Vec::with_capacity(want.len());
    for field in have {
        // Columns are the same whatever the case of their names, to most who read tables.
        let same = want.iter().find(|other| other.name.eq_ignore_ascii_case(&field.name));
        let kind = match same {
            Some(same) => merged_kind(&joined(path, &field.name), &field.kind, &same.kind)?,
            None => field.kind.clone(),
        };
        fields.push(Field::new(&field.name, kind));
    }
    for field in want {
        if !have.iter().any(|other| other.name.eq_ignore_ascii_case(&field.name)) {
            fields.push(field.clone());
        }
    }
    Ok(fields)
}

fn merged_kind(path: &str, have: &Kind, want: &Kind) -> Result<Kind, Clash> {
    match (have, want) {
        (Kind::Struct(have), Kind::Struct(want)) => merged_at(path, have, want).map(Kind::Struct),
        (Kind::List(have), Kind::List(want)) => {
            Ok(Kind::List(Box::new(merged_kind(path, have, want)?)))
        }
        (Kind::Map(have), Kind::Map(want)) => {
            Ok(Kind::Map(Box::new(merged_kind(path, have, want)?)))
        }
        // A table does not know JSON from other texts.
        (have, want) if have.to_delta() == want.to_delta() => Ok(want.clone()),
        _ => Err(Clash { column: path.to_owned(), have: have.told(), want: want.told() }),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money() -> Kind {
        Kind::Struct(vec![Field::new("amount", Kind::Long), Field::new("currency", Kind::Text)])
    }

    #[test]
    fn a_schema_is_read_back() {
        let fields = vec![
            Field::new("time", Kind::Time),
            Field::new("lines", Kind::List(Box::new(money()))),
            Field::new("tags", Kind::Map(Box::new(Kind::Long))),
        ];
        assert_eq!(read(&write(&fields)).unwrap(), fields);
        assert!(read("{}").is_err());
        let bound =
            r#"{"fields": [{"name": "a", "type": "long", "metadata": {"delta.invariants": ""}}]}"#;
        assert!(read(bound).is_err());
    }

    #[test]
    fn new_members_come_behind_old_ones_at_every_depth() {
        let line = |fields| Field::new("lines", Kind::List(Box::new(Kind::Struct(fields))));
        let (sku, total) = (Field::new("sku", Kind::Text), Field::new("total", money()));
        let (data, id) = (Field::new("data", Kind::Json), Field::new("id", Kind::Text));
        let have = [line(vec![sku.clone()]), Field::new("data", Kind::Text)];
        let want = [id.clone(), line(vec![total.clone(), sku.clone()]), data.clone()];
        let expected = vec![line(vec![sku, total]), data, id];
        assert_eq!(merged(&have, &want), Ok(expected));
    }

    #[test]
    fn a_column_of_two_types_is_refused() {
        let [have, want] = [Kind::Long, Kind::Text]
            .map(|kind| [Field::new("data", Kind::Struct(vec![Field::new("x", kind)]))]);
        let clash = merged(&have, &want).unwrap_err();
        let expected = "column data.x is a long in the table, and a string in the events";
        assert_eq!(clash.to_string(), expected);
    }
}
