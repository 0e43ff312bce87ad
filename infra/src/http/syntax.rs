//! The syntax that headers share (RFC 9110, 5.6): lists, parameters and quoted strings.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, header};

/// The elements of a list, over all lines of the header. What is not ASCII is no element.
pub(super) fn list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, b',')).filter(|element| !element.is_empty())
}

/// The parts between separators, trimmed. Within quotes nothing separates.
pub(super) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let is_end = byte == separator && !quoted;
            quoted ^= byte == b'"' && !escaped;
            escaped = quoted && byte == b'\\' && !escaped;
            is_end
        });
        let (part, more) = match end {
            // The separator is ASCII, so both are at the boundary of a character.
            Some(end) => (text.get(..end)?, text.get(end + 1..)),
            None => (text, None),
        };
        rest = more;
        Some(part.trim())
    })
}

/// `name=value`, where the value may stand in quotes.
pub(super) fn parameter(text: &str) -> Option<(&str, Cow<'_, str>)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim_end(), unquoted(value.trim_start())))
}

fn unquoted(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.into();
    };
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain.into()
}

/// The type of the body in lower case, without parameters. `None`: there is none, there are two, or
/// its text is in an encoding that JSON does not have.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::CONTENT_TYPE).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut parts = split(value.to_str().ok()?, b';');
    let essence = parts.next()?.to_ascii_lowercase();
    let foreign = parts.filter_map(parameter).any(|(name, value)| {
        let is_utf_8 =
            ["utf-8", "utf8", "us-ascii"].iter().any(|it| it.eq_ignore_ascii_case(&value));
        name.eq_ignore_ascii_case("charset") && !is_utf_8
    });
    (!foreign).then_some(essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text, b',').collect::<Vec<_>>(), expected);
    }

    #[test]
    fn quotes_hold_together() {
        check("a, b ,c", &["a", "b", "c"]);
        check("\"1\", \"2,3\"", &["\"1\"", "\"2,3\""]);
        check("\"a\\\",b\",c", &["\"a\\\",b\"", "c"]);
        check("\"a\\\\\",b", &["\"a\\\\\"", "b"]);
        check("\"open, b", &["\"open, b"]);
        check("", &[""]);
    }

    #[test]
    fn a_value_may_stand_in_quotes() {
        assert_eq!(parameter("wait = 5"), Some(("wait", "5".into())));
        assert_eq!(parameter("wait=\"5\""), Some(("wait", "5".into())));
        assert_eq!(parameter(r#"a="b\"c\\""#), Some(("a", "b\"c\\".into())));
        assert_eq!(parameter("wait"), None);
    }

    #[track_caller]
    fn check_type(value: &str, expected: Option<&str>) {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
        assert_eq!(content_type(&headers).as_deref(), expected, "{value}");
    }

    #[test]
    fn a_type_has_parameters_in_any_spelling() {
        check_type("Application/JSON", Some("application/json"));
        check_type("application/json ; Charset=\"UTF-8\"", Some("application/json"));
        check_type(
            "application/json;charset=utf-8;x=\";charset=latin1\"",
            Some("application/json"),
        );
        check_type("application/json; charset=latin1", None);
        check_type("application/json; charset=\"utf-16\"", None);
    }
}
