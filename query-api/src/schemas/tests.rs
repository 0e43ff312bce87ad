use std::{collections::BTreeMap, fmt::Write};

use domain::testing::golden;
use expect_test::expect_file;
use jsonschema::Validator;

use super::*;
use crate::replay::mask::Pseudonyms;

#[test]
fn the_document_of_the_log_is_as_published() {
    let document = written(&asyncapi::document(&schema::all()));
    let document = document.replace(env!("CARGO_PKG_VERSION"), "0.0.0");
    expect_file!["../../asyncapi.json"].assert_eq(&document);
}

fn validator(document: &Value) -> Validator {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(document).expect("a JSON Schema")
}

/// Whoever checks what a replay shows must not stumble over what it hides.
#[test]
fn what_a_replay_masks_fits_the_schema_all_the_same() {
    let names = Pseudonyms::new(&"0123456789abcdef0123456789abcdef".into());
    let all: BTreeMap<_, _> =
        schema::all().into_iter().map(|schema| (schema.event_type(), schema.document)).collect();
    for golden in golden::all().iter().filter(|golden| golden.stream_type.is_released()) {
        let event_type = golden.event_type();
        let masked = names.mask(&event_type, golden.data.as_bytes()).unwrap();
        let masked = serde_json::from_slice(&masked).unwrap();
        let errors: Vec<_> =
            validator(&all[&event_type]).iter_errors(&masked).map(|it| it.to_string()).collect();
        assert!(errors.is_empty(), "{event_type}: {errors:?}");
    }
}

/// A page of the docs: every event with what it means, its members and an example.
#[test]
fn the_page_of_events_is_up_to_date() {
    let mut page = HEAD.to_owned();
    let all = schema::all();
    let mut stream_type = None;
    for schema in &all {
        if stream_type != Some(schema.stream_type) {
            stream_type = Some(schema.stream_type);
            write!(page, "\n## {}\n", schema.stream_type.as_str()).unwrap();
        }
        section(&mut page, schema);
    }
    expect_file!["../../../docs/events.md"].assert_eq(&page);
}

const HEAD: &str = "# Events

Every type of event that stands in the log, with an example of its data. The types in `domain/src` and their comments
make this page; a test holds it to them.

`GET /v1/schemas` of the query API lists the types, `GET /v1/schemas/tradewind.order.placed.v1` is the JSON Schema
(2020-12) of one, and `GET /asyncapi.json` describes the topic with all of its records in AsyncAPI 3. Anybody may read
them, without a key: they tell of nobody. They are in the repository, too: `domain/schemas` and
`query-api/asyncapi.json`. What stands around the data is told in [log.md](log.md).

- A schema takes what any release wrote under its version. Members that may be absent are never `null`.
- Members that are not listed are not there. A later release may add members that may be absent, so whoever validates
  fetches the schema of the release that runs; whoever only reads passes over what it does not know.
- **Personal** texts tell of somebody. Schemas mark them with `\"x-personal\": true`; replays and exports show a
  pseudonym instead, `~` and 22 characters, which is why schemas say nothing about their form.
- Money is an object, `{\"amount\": 129, \"currency\": \"USD\"}`, in minor units: that is $ 1.29.
- Of older versions there are events in the log for ever; replays lift them to the newest unless they are asked not
  to (`raw`).
";

fn section(page: &mut String, schema: &Schema) {
    let Schema { event, version, .. } = schema;
    let older = if schema.is_newest { "" } else { ", not written any more" };
    let description = schema.description();
    write!(page, "\n### {event}, version {version}{older}\n\n`{}`", schema.event_type()).unwrap();
    write!(page, "\n\n{description}\n").unwrap();
    let mut rows = String::new();
    members(&mut rows, "", &schema.document);
    if rows.is_empty() {
        page.push_str("\nIts data have no members: `{}`.\n");
        return;
    }
    write!(page, "\n| member | what | |\n|---|---|---|\n{rows}").unwrap();
    // The last shape has all members.
    let event_type = schema.event_type();
    let example = golden::all().into_iter().filter(|golden| golden.event_type() == event_type);
    let example = example.max_by_key(|golden| golden.data.len()).expect("a golden file").data;
    write!(page, "\n```json\n{}\n```\n", example.trim_end()).unwrap();
}

fn members(rows: &mut String, at: &str, schema: &Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let mut notes = vec![kind(member)];
        if !required.contains(&name.as_str().into()) {
            notes.push("may be absent".to_owned());
        }
        if member[schema::PERSONAL] == true {
            notes.push("**personal**".to_owned());
        }
        let description = member["description"].as_str().unwrap_or_default();
        writeln!(rows, "| `{path}` | {description} | {} |", notes.join(", ")).unwrap();
        if !is_money(member) {
            members(rows, &path, member);
            members(rows, &format!("{path}[]"), &member["items"]);
        }
    }
}

fn is_money(schema: &Value) -> bool {
    let names = schema["properties"].as_object().map(|it| it.keys().map(String::as_str).collect());
    names == Some(vec!["amount", "currency"])
}

/// What a member is, in words.
fn kind(schema: &Value) -> String {
    if is_money(schema) {
        return "money".to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return format!("`{}`", values.join("`, `"));
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        kind => kind.as_str().unwrap_or_default().to_owned(),
    };
    match (schema["format"].as_str(), kinds.as_str()) {
        (Some("uuid"), _) => "UUID".to_owned(),
        (Some("date-time"), _) => "instant".to_owned(),
        (_, "array") => format!("list of {}", kind(&schema["items"])),
        (_, "object") if schema["additionalProperties"].is_object() => {
            format!("object, by name: {}", kind(&schema["additionalProperties"]))
        }
        (Some(format), "integer") => {
            format.replace("uint", "unsigned ").replace("int", "integer ") + " bits"
        }
        _ => kinds,
    }
}
