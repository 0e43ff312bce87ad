//! Finds what a contract lets clients send without end.

use serde_json::Value;

use crate::http::shapes::Json;
use utoipa::ToSchema;

/// Where the requests of a contract may hold what has no bounds: a list without a maximum, a text that
/// may have any length, a number without a least or greatest one, an object that takes any names. Names
/// of operations and what leads into them.
///
/// Headers are bounded all together: the server takes no longer head.
#[must_use]
pub fn unbounded(contract: &Value) -> Vec<String> {
    let mut search = Search { contract, at: Vec::new(), seen: Vec::new(), found: Vec::new() };
    let paths = contract["paths"].as_object().into_iter().flatten();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            // What providers send has their shape, and is read with whatever else is in it.
            let is_theirs =
                operation["tags"].as_array().is_some_and(|it| it.contains(&"webhooks".into()));
            let content = operation["requestBody"]["content"].as_object().filter(|_| !is_theirs);
            for (kind, content) in content.into_iter().flatten() {
                search.at = vec![format!("{} {path}", method.to_uppercase())];
                // A stream of lines is bounded by what takes it, line by line.
                if kind == "application/json" {
                    search.schema(&content["schema"]);
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                search.at = vec![format!("{} {path}", method.to_uppercase())];
                if parameter["in"] != "header" {
                    search.within(parameter["name"].as_str().unwrap_or("?"), &parameter["schema"]);
                }
            }
        }
    }
    search.found
}

struct Search<'a> {
    contract: &'a Value,
    at: Vec<String>,
    /// Names of schemas on the way here.
    seen: Vec<&'a str>,
    found: Vec<String>,
}

impl<'a> Search<'a> {
    fn within(&mut self, name: &str, schema: &'a Value) {
        self.at.push(name.to_owned());
        self.schema(schema);
        self.at.pop();
    }

    fn schema(&mut self, schema: &'a Value) {
        if let Some(reference) = schema["$ref"].as_str() {
            let is_others_data = reference.ends_with(&format!("/{}", Json::name()));
            if !is_others_data && !self.seen.contains(&reference) {
                self.seen.push(reference);
                let pointer = reference.trim_start_matches('#');
                self.schema(self.contract.pointer(pointer).unwrap_or(&Value::Null));
                self.seen.pop();
            }
            return;
        }
        if !schema.is_object() {
            return;
        }
        for (kind, is_bounded) in [
            ("array", has(schema, &["maxItems"])),
            ("string", is_bounded_text(schema)),
            ("integer", is_bounded_number(schema)),
            ("number", is_bounded_number(schema)),
            ("object", is_bounded_object(schema)),
        ] {
            if is_of(schema, kind) && !is_bounded {
                self.found.push(format!("{}: any {kind}", self.at.join(" ")));
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.within(name, property);
        }
        self.within("<name>", &schema["propertyNames"]);
        self.within("<value>", &schema["additionalProperties"]);
        self.schema(&schema["items"]);
        for several in ["oneOf", "anyOf", "allOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                self.schema(one);
            }
        }
    }
}

/// `"type": "array"`, alone or among several.
fn is_of(schema: &Value, kind: &str) -> bool {
    let types = &schema["type"];
    types == kind || types.as_array().is_some_and(|types| types.iter().any(|it| it == kind))
}

fn has(schema: &Value, keywords: &[&str]) -> bool {
    keywords.iter().all(|keyword| !schema[keyword].is_null())
}

fn is_bounded_text(schema: &Value) -> bool {
    let formats = ["uuid", "date", "date-time"];
    let is_formatted = schema["format"].as_str().is_some_and(|format| formats.contains(&format));
    is_formatted || has(schema, &["enum"]) || has(schema, &["maxLength", "pattern"])
}

fn is_bounded_number(schema: &Value) -> bool {
    has(schema, &["enum"]) || has(schema, &["minimum", "maximum"])
}

/// Either it says which members there are and takes no others, or how many and how they are named.
fn is_bounded_object(schema: &Value) -> bool {
    schema["additionalProperties"] == false || has(schema, &["maxProperties", "propertyNames"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Value, expected: &[&str]) {
        let contract = json!({
            "paths": {"/x": {"post": {
                "parameters": [{"in": "query", "name": "q", "schema": schema}],
                "requestBody": {"content": {"application/json": {"schema": {
                    "type": "object", "additionalProperties": false, "properties": {"b": schema},
                }}}},
            }}},
            "components": {"schemas": {"Json": {"type": "string"}, "Text": {"type": "string"}}},
        });
        let found = unbounded(&contract);
        let at = ["b", "q"].into_iter();
        let expected = at.flat_map(|at| expected.iter().map(move |it| format!("POST /x {at}{it}")));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn what_has_no_end_is_found() {
        check(json!({"type": "array", "items": {"type": "boolean"}}), &[": any array"]);
        check(json!({"type": ["string", "null"]}), &[": any string"]);
        check(json!({"type": "string", "maxLength": 3}), &[": any string"]);
        check(json!({"type": "string", "pattern": "^a*$"}), &[": any string"]);
        check(json!({"type": "integer", "minimum": 0}), &[": any integer"]);
        check(json!({"type": "number"}), &[": any number"]);
        check(json!({"type": "object"}), &[": any object"]);
        check(json!({"$ref": "#/components/schemas/Text"}), &[": any string"]);
        check(json!({"oneOf": [{"type": "null"}, {"type": "integer"}]}), &[": any integer"]);
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        check(map, &[": any object", " <value>: any integer"]);
    }

    #[test]
    fn what_has_an_end_is_not() {
        for bounded in [
            json!({"type": "string", "format": "uuid"}),
            json!({"type": "string", "enum": ["a"]}),
            json!({"type": "string", "maxLength": 3, "pattern": "^a*$"}),
            json!({"type": "integer", "minimum": 0, "maximum": 9}),
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": "boolean"}),
            json!({"$ref": "#/components/schemas/Json"}),
        ] {
            check(bounded, &[]);
        }
    }
}
