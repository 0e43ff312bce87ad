use std::{collections::BTreeSet, fs, path::PathBuf};

use expect_test::expect_file;
use jsonschema::Validator;
use serde_json::Value;

use super::*;
use crate::testing::golden::{self, Golden};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas"))
}

fn file(schema: &Schema) -> PathBuf {
    let Schema { stream_type, event, version, .. } = schema;
    folder().join(stream_type.as_str()).join(format!("{event}.v{version}.json"))
}

fn validator(document: &Value) -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(document)
        .expect("a JSON Schema")
}

/// Every shape that was ever stored, with its schema.
fn stored() -> Vec<(Golden, Value, Schema)> {
    let all = all();
    let of = |golden: Golden| {
        let data = serde_json::from_str(&golden.data).expect("JSON");
        let schema = all.iter().find(|schema| schema.event_type() == golden.event_type());
        let is_released = golden.stream_type.is_released();
        assert_eq!(schema.is_some(), is_released, "{}", golden.event_type());
        Some((golden, data, schema?.clone()))
    };
    golden::all().into_iter().filter_map(of).collect()
}

/// All below a value, by their pointers.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            let at = format!("{at}/{name}");
            pointers(member, &at, found);
            found.push(at);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            let at = format!("{at}/{index}");
            pointers(item, &at, found);
            found.push(at);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether the codec reads it.
fn is_read(golden: &Golden, data: &Value) -> bool {
    let Golden { stream_type, event, version, .. } = golden;
    let Value::Object(data) = data.clone() else { return false };
    let data = upcast::lift(stream_type.upcasts(), event, *version, data);
    let event = serde_json::json!({"type": event, "data": data});
    serde::de::DeserializeSeed::deserialize(*stream_type, event).is_ok()
}

#[test]
fn every_version_of_every_event_has_its_schema_in_a_file() {
    let mut expected = BTreeSet::new();
    for schema in all() {
        let text = format!("{:#}\n", schema.document);
        expect_file![file(&schema)].assert_eq(&text);
        expected.insert(file(&schema));
    }
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: BTreeSet<_> = files(folder()).flat_map(files).collect();
    assert_eq!(found, expected, "no file is left over");
    let distinct: BTreeSet<_> = all().iter().map(Schema::event_type).collect();
    assert_eq!(distinct.len(), all().len());
}

#[test]
fn whatever_was_stored_fits_its_schema() {
    for (golden, data, schema) in stored() {
        let errors: Vec<_> =
            validator(&schema.document).iter_errors(&data).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", golden.event_type());
    }
}

/// What serde refuses, the schema refuses, and the other way round, but for members that nobody wrote:
/// serde passes over those.
#[test]
fn a_schema_takes_what_is_read_and_nothing_else() {
    for (golden, data, schema) in stored() {
        let validator = validator(&schema.document);
        let mut below = Vec::new();
        pointers(&data, "", &mut below);
        for pointer in below {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let mut without = data.clone();
            if let Some(Value::Object(parent)) = without.pointer_mut(parent) {
                parent.remove(name);
            }
            let mut others = vec![without];
            for other in [serde_json::json!("?"), (-1.5).into(), 7.into(), true.into()] {
                let mut changed = data.clone();
                *changed.pointer_mut(&pointer).unwrap() = other;
                others.push(changed);
            }
            for other in others {
                let is_read = is_read(&golden, &other);
                let event = golden.event_type();
                assert_eq!(validator.is_valid(&other), is_read, "{event} {pointer}: {other}");
            }
        }
    }
}

#[test]
fn a_schema_takes_no_member_that_nobody_knows() {
    for (golden, data, schema) in stored() {
        let validator = validator(&schema.document);
        let mut below = vec![String::new()];
        pointers(&data, "", &mut below);
        for pointer in below {
            let mut more = data.clone();
            let Some(Value::Object(object)) = more.pointer_mut(&pointer) else { continue };
            object.insert("unheard_of".to_owned(), 1.into());
            // What describes a product may have any name.
            let is_free = pointer.ends_with("/attributes");
            assert_eq!(validator.is_valid(&more), is_free, "{} {pointer}", golden.event_type());
        }
    }
}

#[test]
fn every_event_and_every_member_is_described_for_people() {
    fn check(at: &str, schema: &Value) {
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{at} has no description: {description:?}");
        assert!(
            !description.contains("[`") && !description.contains("None"),
            "{at}: {description}"
        );
        members(at, schema);
    }
    fn members(at: &str, schema: &Value) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            check(&format!("{at}.{name}"), member);
        }
        members_of(at, &schema["items"]);
        members_of(at, &schema["additionalProperties"]);
    }
    fn members_of(at: &str, schema: &Value) {
        if schema.is_object() {
            members(at, schema);
        }
    }
    for schema in all() {
        check(&schema.event_type(), &schema.document);
    }
}

#[test]
fn what_may_be_absent_is_never_null() {
    for schema in all() {
        assert!(!schema.document.to_string().contains("\"null\""), "{}", schema.event_type());
    }
}

/// The mark in a schema and what masks the texts are one declaration.
#[test]
fn personal_texts_are_marked_where_they_are_declared() {
    for (golden, data, schema) in stored() {
        let texts =
            StreamType::texts_of(&format!("{}.{}", golden.stream_type.as_str(), golden.event));
        let mut below = Vec::new();
        pointers(&data, "", &mut below);
        for pointer in below.iter().filter(|pointer| data.pointer(pointer).unwrap().is_string()) {
            let (mut at, mut path) = (&schema.document, Vec::new());
            for step in pointer.split('/').skip(1) {
                let member = &at["properties"][step];
                at = match (step.parse::<usize>(), member.is_null()) {
                    (Ok(_), _) => &at["items"],
                    (_, true) => &at["additionalProperties"],
                    _ => member,
                };
                path.extend(step.parse::<usize>().is_err().then_some(step));
            }
            let is_plain = texts.unwrap().is_plain(&path.join("."));
            assert_eq!(at[PERSONAL] == true, !is_plain, "{} {pointer}", golden.event_type());
        }
    }
}
