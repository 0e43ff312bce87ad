//! Text that nothing downstream could carry: NUL and other control characters.

use serde_json::Value;

use super::pointer::push;
use crate::http::fields::{Fields, is_forbidden};

const DETAIL: &str = "must not contain control characters other than tab and newline";

/// Adds an error for each text in a JSON document, keys included, that has a forbidden character.
///
/// Nearly all documents have none, which one pass over the bytes shows; only the rest is parsed
/// again to tell where.
pub(super) fn check_json(json: &[u8], fields: &mut Fields) {
    if !is_suspicious(json) {
        return;
    }
    if let Ok(document) = serde_json::from_slice::<Value>(json) {
        walk(&document, &mut String::new(), fields);
    }
}

/// Adds an error if a parameter has a forbidden character.
pub(super) fn check_parameter(name: &str, value: &str, fields: &mut Fields) {
    if value.chars().any(is_forbidden) {
        let mut pointer = String::new();
        push(&mut pointer, name);
        fields.add(pointer, "control_character", DETAIL);
    }
}

/// May a forbidden character hide here? Raw C0 characters cannot: JSON itself refuses them.
fn is_suspicious(json: &[u8]) -> bool {
    json.windows(2).any(|pair| match *pair {
        [b'\\', b'b' | b'f' | b'r' | b'u'] | [_, 0x7f] => true,
        // U+0080 to U+009F in UTF-8.
        [0xc2, second] => second < 0xa0,
        _ => false,
    })
}

fn walk(value: &Value, pointer: &mut String, fields: &mut Fields) {
    if fields.is_full() {
        return;
    }
    let length = pointer.len();
    match value {
        Value::String(text) if text.chars().any(is_forbidden) => {
            fields.add(pointer.clone(), "control_character", DETAIL);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                push(pointer, &index.to_string());
                walk(item, pointer, fields);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                if key.chars().any(is_forbidden) {
                    fields.add(pointer.clone(), "control_character", DETAIL);
                }
                push(pointer, key);
                walk(member, pointer, fields);
                pointer.truncate(length);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
