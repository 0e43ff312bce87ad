//! What the data of events look like, for readers of the log: a JSON Schema (2020-12) of each version of
//! each event, made of the types that serde reads and their doc comments.
//!
//! A schema takes what any release wrote under its version: members that came later need not be there. It
//! takes no member that this release does not know, so an event of a later one may need its schema.
//!
//! Members that tell of a person bear `"x-personal": true`, by the same declaration that masks them
//! (`personal`). A pseudonym may stand in their place, so nothing is said of their form.
//!
//! **Invariant:** nothing is described a second time here. Versions that are not written any more are as
//! they were described when they were (`Upcast::schema`).

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    Listed, StreamType,
    model::{AggregateVisitor, visit_all},
    personal::Texts,
    upcast,
};

#[cfg(test)]
mod tests;

/// What marks a member that tells of a person.
pub const PERSONAL: &str = "x-personal";

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The data of an event of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub stream_type: StreamType,
    /// `placed`, of a stream of this type.
    pub event: String,
    pub version: u32,
    /// Whether it is what writers write.
    pub is_newest: bool,
    /// The JSON Schema.
    pub document: Value,
}

impl Schema {
    /// As the log names it.
    #[must_use]
    pub fn event_type(&self) -> String {
        let Self { stream_type, event, version, .. } = self;
        format!("tradewind.{}.{event}.v{version}", stream_type.as_str())
    }

    /// What happened, in a sentence or two.
    #[must_use]
    pub fn description(&self) -> &str {
        self.document.get("description").and_then(Value::as_str).unwrap_or_default()
    }
}

/// All versions of all events that a release has, by the names of their types.
#[must_use]
pub fn all() -> Vec<Schema> {
    let mut found = Collected(Vec::new());
    visit_all(&mut found);
    let Collected(mut all) = found;
    all.sort_by_key(|schema| (schema.stream_type.as_str(), schema.event.clone(), schema.version));
    all
}

struct Collected(Vec<Schema>);

impl AggregateVisitor for Collected {
    fn visit<A: Listed>(&mut self, _: &'static str) {
        if !A::IS_RELEASED {
            return;
        }
        for (event, document) in variants::<A::Event>() {
            let version = upcast::newest(A::UPCASTS, &event);
            self.add(A::TYPE, event, version, true, document);
        }
        for step in A::UPCASTS {
            // A test says that each is JSON.
            let document = serde_json::from_str(step.schema).unwrap_or_default();
            self.add(A::TYPE, step.event.to_owned(), step.from, false, document);
        }
    }
}

impl Collected {
    fn add(
        &mut self,
        stream_type: StreamType,
        event: String,
        version: u32,
        is_newest: bool,
        mut document: Value,
    ) {
        let texts = stream_type.texts().iter().find(|texts| texts.event == event);
        tidy(&mut document, "", texts, true);
        let mut schema = Schema { stream_type, event, version, is_newest, document };
        let title = schema.event_type();
        if let Some(document) = schema.document.as_object_mut() {
            document.insert("$schema".to_owned(), DIALECT.into());
            document.insert("title".to_owned(), title.into());
        }
        self.0.push(schema);
    }
}

/// The names of the events of a type and what their data look like, as the types have it.
fn variants<E: JsonSchema>() -> Vec<(String, Value)> {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let of_all = settings.into_generator().into_root_schema_for::<E>().to_value();
    let variants = of_all.get("oneOf").and_then(Value::as_array);
    let named = |variant: &Value| {
        let name = variant.pointer("/properties/type/const")?.as_str()?.to_owned();
        let mut data = variant.pointer("/properties/data")?.clone();
        let description = variant.get("description").cloned().unwrap_or_default();
        data.as_object_mut()?.insert("description".to_owned(), description);
        Some((name, data))
    };
    variants.into_iter().flatten().filter_map(named).collect()
}

/// Says what the types cannot: which members are personal, that there are no others, and that one that
/// may be absent is never `null`.
fn tidy(schema: &mut Value, path: &str, texts: Option<&Texts>, is_required: bool) {
    let Some(schema) = schema.as_object_mut() else { return };
    if !is_required {
        without_null(schema);
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split("\n\n").map(|it| it.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
    if schema.get("format").and_then(Value::as_str) == Some("uint32") {
        schema.insert("maximum".to_owned(), u32::MAX.into());
    }
    if is_of(schema, "string") {
        mark(schema, texts.is_some_and(|texts| texts.is_plain(path)));
    }
    if is_of(schema, "object") && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required =
        |name: &str| required.as_array().is_some_and(|names| names.iter().any(|it| it == name));
    for (name, member) in
        schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        tidy(member, &path, texts, is_required(name));
    }
    for within in ["items", "additionalProperties"] {
        if let Some(within) = schema.get_mut(within) {
            tidy(within, path, texts, true);
        }
    }
    for several in ["oneOf", "anyOf"] {
        for one in schema.get_mut(several).and_then(Value::as_array_mut).into_iter().flatten() {
            tidy(one, path, texts, true);
        }
    }
}

fn mark(text: &mut Map<String, Value>, is_plain: bool) {
    if is_plain {
        text.remove(PERSONAL);
        return;
    }
    text.insert(PERSONAL.to_owned(), true.into());
    text.retain(|keyword, _| {
        !["format", "pattern", "minLength", "maxLength"].contains(&&**keyword)
    });
}

fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(either)) = schema.get_mut("anyOf") {
        either.retain(|one| *one != json!({"type": "null"}));
        if let [Value::Object(only)] = either.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (keyword, value) in only {
                schema.entry(keyword).or_insert(value);
            }
        }
    }
}

/// `"type": "string"`, alone or among several.
fn is_of(schema: &Map<String, Value>, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|it| it == kind),
        Some(only) => only == kind,
        None => false,
    }
}
