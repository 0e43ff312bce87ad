//! From serde's words to a pointer, a code and a sentence that says what to send.

use std::borrow::Cow;

use serde_path_to_error::{Path, Segment};

use crate::http::{
    bounded::{TOO_FEW, TOO_MANY},
    problem::{POINTER_BYTES_MAX, Problem},
};

/// The 422 for a value that does not fit its type.
pub(super) fn data_error(path: &Path, message: &str) -> Problem {
    let mut at = pointer(path);
    let message = without_place(message);
    let (code, detail) = if message.starts_with("missing field") {
        // The path ends at the object that lacks the field.
        push(&mut at, quoted(message));
        ("required", Cow::from("is required"))
    } else if message.starts_with("unknown field") {
        // The path ends at the field or at its object, whichever serde knows.
        let field = member(quoted(message));
        if !at.ends_with(&field) && at.len() <= POINTER_BYTES_MAX {
            at.push_str(&field);
        }
        ("unknown_field", format!("is not known here; known are {}", alternatives(message)).into())
    } else if message.starts_with("unknown variant") {
        ("unknown_value", format!("must be one of {}", alternatives(message)).into())
    } else if message.starts_with("invalid type") {
        ("wrong_type", format!("must be {}", expectation(message)).into())
    } else if message.starts_with("invalid value") || message.starts_with("invalid length") {
        ("invalid", format!("must be {}", expectation(message)).into())
    } else if message.starts_with(TOO_MANY) {
        ("too_many", message.into())
    } else if message.starts_with(TOO_FEW) {
        ("required", message.into())
    } else if let Some(detail) = message.strip_prefix("number out of range: ") {
        ("out_of_range", detail.to_owned().into())
    } else {
        ("invalid", sentence(message))
    };
    Problem::invalid_field(at, code, detail.into_owned())
}

/// The 422 for a path's parameter.
pub(super) fn parameter_error(name: &str, message: &str) -> Problem {
    let expected = message.strip_prefix("expected ").unwrap_or(message);
    Problem::invalid_field(member(name), "invalid", sentence(expected).into_owned())
}

/// The 422 for a parameter that is there twice.
pub(super) fn parameter_twice(name: &str) -> Problem {
    Problem::invalid_field(member(name), "duplicate", "must be given only once")
}

/// RFC 6901.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// The pointer to a member of the whole.
pub(super) fn member(name: &str) -> String {
    let mut pointer = String::new();
    push(&mut pointer, name);
    pointer
}

/// A pointer that is too long already grows no further: it will be cut.
pub(super) fn push(pointer: &mut String, key: &str) {
    if pointer.len() > POINTER_BYTES_MAX {
        return;
    }
    let end = key.floor_char_boundary(POINTER_BYTES_MAX);
    let (shown, rest) = key.split_at(end);
    pointer.push('/');
    for c in shown.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
    // One more, so that whoever cuts it sees that there was more.
    pointer.extend(rest.chars().next());
}

/// The first thing in back-quotes.
fn quoted(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or_default()
}

/// What follows the last "expected".
fn expectation(message: &str) -> &str {
    let expected = message.rsplit_once("expected ").map_or(message, |(_, expected)| expected);
    in_words(expected).unwrap_or(expected)
}

/// A type that says itself what it takes is quoted, the rest is put in words.
fn sentence(message: &str) -> Cow<'_, str> {
    in_words(message).map_or(message.into(), |words| format!("must be {words}").into())
}

/// "expected one of `a`, `b`" and its shorter forms.
fn alternatives(message: &str) -> &str {
    let expected = message.rsplit_once("expected ").map_or("", |(_, expected)| expected);
    expected.strip_prefix("one of ").unwrap_or(expected)
}

/// The names of Rust's types and the errors of its parsers mean little to a client.
fn in_words(expected: &str) -> Option<&'static str> {
    match expected {
        "u8" => Some("a whole number from 0 to 255"),
        "u16" => Some("a whole number from 0 to 65535"),
        "u32" => Some("a whole number from 0 to 4294967295"),
        "u64" | "usize" => Some("a whole number of at least 0"),
        "i32" | "i64" => Some("a whole number"),
        "a sequence" => Some("a list"),
        "a map" => Some("an object"),
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            Some("a whole number")
        }
        "number too large to fit in target type" => Some("a smaller number"),
        "number too small to fit in target type" => Some("a larger number"),
        "provided string was not `true` or `false`" => Some("true or false"),
        _ if expected.starts_with("struct ") || expected.starts_with("adjacently tagged enum ") => {
            Some("an object")
        }
        _ if expected.starts_with("UUID parsing failed") => Some("a UUID"),
        _ => None,
    }
}

/// serde_json ends its messages with the line and column, which the pointer says better.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}
