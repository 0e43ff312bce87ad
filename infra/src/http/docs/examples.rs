//! Takes out of a contract what the worked examples of the docs add to it, which only tests have.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::openapi::{OpenApi, path::Operation};

use super::operations;

/// The tag of their operations.
const TAG: &str = "example";
const SCHEMAS: &str = "#/components/schemas/";

/// The contract as a release has it: without the paths of examples, and without the schemas that only
/// these named.
#[must_use]
pub fn released(mut api: OpenApi) -> OpenApi {
    let named = schemas(&api);
    api.paths.paths.retain(|_, item| !operations(item).any(|operation| is_example(operation)));
    loop {
        let left = schemas(&api);
        let Some(components) = &mut api.components else { return api };
        let before = components.schemas.len();
        components.schemas.retain(|name, _| left.contains(name) || !named.contains(name));
        if components.schemas.len() == before {
            return api;
        }
    }
}

fn is_example(operation: &Operation) -> bool {
    operation.tags.iter().flatten().any(|tag| tag == TAG)
}

/// The names of the schemas that something refers to.
fn schemas(api: &OpenApi) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    search(&serde_json::to_value(api).unwrap_or_default(), &mut found);
    found
}

fn search(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix(SCHEMAS).map(str::to_owned)),
        Value::Array(values) => values.iter().for_each(|value| search(value, found)),
        Value::Object(members) => members.values().for_each(|value| search(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_examples_name_goes_with_them() {
        let of = |name: &str| json!({"$ref": format!("{SCHEMAS}{name}")});
        let with = |name: &str| json!({"type": "object", "properties": {"it": of(name)}});
        let operation = |tag: &str, name: &str| {
            let body = json!({"content": {"application/json": {"schema": of(name)}}});
            json!({"get": {"tags": [tag], "responses": {}, "requestBody": body}})
        };
        let plain = json!({"type": "string"});
        let api = serde_json::from_value(json!({
            "openapi": "3.1.0", "info": {"title": "", "version": ""},
            "paths": {"/things": operation("things", "Thing"), "/wishes": operation(TAG, "Wish")},
            "components": {"schemas": {
                "Thing": with("Part"), "Part": plain, "Wish": with("Star"), "Star": plain,
                "Unnamed": plain,
            }},
        }));
        let released = released(api.unwrap());
        assert_eq!(released.paths.paths.keys().collect::<Vec<_>>(), ["/things"]);
        let schemas = released.components.unwrap().schemas;
        assert_eq!(schemas.keys().collect::<Vec<_>>(), ["Part", "Thing", "Unnamed"]);
    }
}
