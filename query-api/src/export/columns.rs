//! Which columns the data of each type of event have: those of its JSON Schema.
//!
//! Money is a struct of `amount`, in minor units, and `currency`, as it is in the events. Where values may be of
//! several types, as attributes of products may, they are JSON in a text.

use std::collections::BTreeMap;

use domain::schema;
use serde_json::Value;

use super::{
    batch::{EVENTS, columns},
    delta::{Field, Kind},
};

/// The types of events that have a table of their own, and what their data are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    /// By the type, `order.placed`.
    types: BTreeMap<String, Kind>,
}

impl Catalogue {
    /// A replay lifts events to the newest version, so that a type has one table.
    pub(crate) fn of_this_release() -> Self {
        let newest = schema::all().into_iter().filter(|schema| schema.is_newest);
        let types = newest.map(|schema| {
            let name = format!("{}.{}", schema.stream_type.as_str(), schema.event);
            (name, Kind::Struct(members(&schema.document)))
        });
        Self { types: types.collect() }
    }

    #[cfg(test)]
    pub(crate) fn of(types: impl IntoIterator<Item = (&'static str, Vec<Field>)>) -> Self {
        let types = types.into_iter();
        let types = types.map(|(name, fields)| (name.to_owned(), Kind::Struct(fields))).collect();
        Self { types }
    }

    pub(crate) fn has(&self, event_type: &str) -> bool {
        self.types.contains_key(event_type)
    }

    /// `order.placed` and so on.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// Of the table of this name.
    pub(crate) fn columns(&self, table: &str) -> Vec<Field> {
        let found = self.types.iter().find(|(name, _)| name.replace('.', "_") == table);
        match found {
            Some((_, kind)) if table != EVENTS => columns(kind.clone()),
            _ => columns(Kind::Json),
        }
    }
}

fn members(schema: &Value) -> Vec<Field> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields = properties.into_iter().flatten();
    fields.map(|(name, schema)| Field::new(name, kind(schema))).collect()
}

fn kind(schema: &Value) -> Kind {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    match (text("type"), text("format")) {
        (Some("string"), Some("date-time")) => Kind::Time,
        (Some("string"), Some("date")) => Kind::Date,
        (Some("string"), _) => Kind::Text,
        (Some("integer"), _) => Kind::Long,
        (Some("number"), _) => Kind::Double,
        (Some("boolean"), _) => Kind::Boolean,
        (Some("array"), _) => match schema.get("items") {
            Some(items) => Kind::List(Box::new(kind(items))),
            None => Kind::Json,
        },
        (Some("object"), _) => match (members(schema), schema.get("additionalProperties")) {
            (members, None | Some(Value::Bool(false))) if !members.is_empty() => {
                Kind::Struct(members)
            }
            (members, Some(value)) if members.is_empty() && is_of_one_type(value) => {
                Kind::Map(Box::new(kind(value)))
            }
            _ => Kind::Json,
        },
        _ => Kind::Json,
    }
}

fn is_of_one_type(schema: &Value) -> bool {
    schema.is_object() && kind(schema) != Kind::Json
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::export::shred::Columns;

    #[test]
    fn every_event_that_was_ever_stored_in_its_newest_version_fits_its_columns() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/golden");
        let catalogue = Catalogue::of_this_release();
        let mut seen = 0;
        for schema in schema::all().iter().filter(|schema| schema.is_newest) {
            let (folder, event) = (schema.stream_type.as_str(), &schema.event);
            let columns = catalogue.columns(&format!("{folder}_{event}"));
            let data = columns.iter().find(|column| column.name == "data");
            let prefix = format!("{event}.v{}.", schema.version);
            for file in std::fs::read_dir(format!("{golden}/{folder}")).unwrap() {
                let file = file.unwrap().path();
                if !file.file_name().unwrap().to_str().unwrap().starts_with(&prefix) {
                    continue;
                }
                let Some(data) = data else { continue };
                let text = std::fs::read_to_string(&file).unwrap();
                let mut shredded = Columns::new(std::slice::from_ref(data));
                shredded
                    .push(format!(r#"{{"data": {text}}}"#).as_bytes())
                    .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                shredded.finish().unwrap();
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn columns_are_typed() {
        let columns = Catalogue::of_this_release().columns("order_placed");
        let data = columns.iter().find(|column| column.name == "data").unwrap();
        let Kind::Struct(members) = &data.kind else { panic!("{data:?}") };
        let member = |name: &str| &members.iter().find(|it| it.name == name).unwrap().kind;
        assert_eq!(member("placed_at"), &Kind::Time);
        assert_eq!(member("email"), &Kind::Text);
        let Kind::Struct(totals) = member("totals") else { panic!("{members:?}") };
        let money = [Field::new("amount", Kind::Long), Field::new("currency", Kind::Text)];
        assert_eq!(totals[0], Field::new("discount", Kind::Struct(money.into())));
        assert!(matches!(member("lines"), Kind::List(line) if matches!(**line, Kind::Struct(_))));
    }

    #[test]
    fn what_fits_no_column_is_json() {
        assert_eq!(kind(&json!({ "type": ["string", "boolean"] })), Kind::Json);
        let mixed =
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number"] } });
        assert_eq!(kind(&mixed), Kind::Json);
        let counts = json!({ "type": "object", "additionalProperties": { "type": "integer" } });
        assert_eq!(kind(&counts), Kind::Map(Box::new(Kind::Long)));
        assert_eq!(kind(&json!({ "type": "object", "properties": {} })), Kind::Json);
    }
}
