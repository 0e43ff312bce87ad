//! Finds what a contract lets clients send without end.

use serde_json::Value;

/// Where the requests of a contract may hold a list without a maximum: pointers into the contract.
#[must_use]
pub fn unbounded(contract: &Value) -> Vec<String> {
    let mut search = Search { contract, at: Vec::new(), seen: Vec::new(), found: Vec::new() };
    let paths = contract["paths"].as_object().into_iter().flatten();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let content = operation["requestBody"]["content"].as_object();
            for (_, content) in content.into_iter().flatten() {
                search.at = vec![format!("{} {path}", method.to_uppercase())];
                search.schema(&content["schema"]);
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                search.at = vec![format!("{} {path}", method.to_uppercase())];
                search.within(&parameter["name"].to_string(), &parameter["schema"]);
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
            if !self.seen.contains(&reference) {
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
        if is_of(schema, "array") && schema["maxItems"].is_null() {
            self.found.push(self.at.join(" "));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.within(name, property);
        }
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
