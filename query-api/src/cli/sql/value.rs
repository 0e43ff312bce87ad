//! What columns hold, and their values from PostgreSQL's text to JSON.

use std::borrow::Cow;

use serde_json::value::RawValue;

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl Column {
    pub(super) fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind }
    }
}

/// What PostgreSQL's types come to. What is none of them is a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Whole,
    Float,
    Decimal,
    Date,
    /// An instant; without a zone it is taken as it stands.
    Instant {
        zoned: bool,
    },
    Uuid,
    Json,
    Text,
    List(Box<Kind>),
}

impl Kind {
    /// Of a type's name.
    pub(super) fn of(name: &str) -> Self {
        if let Some(item) = name.strip_suffix("[]") {
            return Self::List(Box::new(Self::of(item)));
        }
        match name {
            "BOOL" => Self::Bool,
            "INT2" | "INT4" | "INT8" => Self::Whole,
            "FLOAT4" | "FLOAT8" => Self::Float,
            "NUMERIC" => Self::Decimal,
            "DATE" => Self::Date,
            "TIMESTAMPTZ" => Self::Instant { zoned: true },
            "TIMESTAMP" => Self::Instant { zoned: false },
            "UUID" => Self::Uuid,
            "JSON" | "JSONB" => Self::Json,
            _ => Self::Text,
        }
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Whole | Self::Float | Self::Decimal)
    }

    /// As others read it: instants as RFC 3339 has them, lists as JSON.
    pub(super) fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self {
            Self::Bool => if text == "t" { "true" } else { "false" }.into(),
            Self::Instant { zoned } => instant(text, *zoned).into(),
            Self::List(_) => self.json(text).into(),
            _ => text.into(),
        }
    }

    /// A value of JSON. A number keeps all of its digits; what JSON has no number for is a text.
    pub(super) fn json(&self, text: &str) -> String {
        match self {
            Self::Whole | Self::Float | Self::Decimal | Self::Json => {
                match serde_json::from_str::<&RawValue>(text) {
                    Ok(value) => value.get().to_owned(),
                    Err(_) => quoted(text),
                }
            }
            Self::Bool => self.plain(text).into_owned(),
            Self::List(item) => list(item, text).unwrap_or_else(|| quoted(text)),
            Self::Date | Self::Instant { .. } | Self::Uuid | Self::Text => {
                quoted(&self.plain(text))
            }
        }
    }
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `2026-01-31 12:00:00+00` as `2026-01-31T12:00:00Z`. `infinity` stays what it is.
fn instant(text: &str, zoned: bool) -> String {
    let text = text.replacen(' ', "T", 1);
    match text.strip_suffix("+00") {
        Some(local) if zoned => format!("{local}Z"),
        _ => text,
    }
}

/// `{1,NULL,"a \"b\""}` as a list of JSON; lists may hold lists. None if it is no such thing.
fn list(item: &Kind, text: &str) -> Option<String> {
    // One whose bounds do not begin at 1 says so first.
    let text = if text.starts_with('[') { text.split_once('=')?.1 } else { text };
    let mut rest = text.chars().peekable();
    let (mut json, mut depth) = (String::new(), 0_usize);
    while let Some(next) = rest.next() {
        match next {
            '{' => {
                json.push('[');
                depth += 1;
            }
            '}' => {
                json.push(']');
                depth = depth.checked_sub(1)?;
            }
            ',' => json.push(','),
            '"' => {
                let mut word = String::new();
                loop {
                    match rest.next()? {
                        '\\' => word.push(rest.next()?),
                        '"' => break,
                        other => word.push(other),
                    }
                }
                json.push_str(&item.json(&word));
            }
            other => {
                let mut word = String::from(other);
                while let Some(more) = rest.next_if(|more| !",}".contains(*more)) {
                    word.push(more);
                }
                let is_null = word == "NULL";
                json.push_str(&if is_null { "null".to_owned() } else { item.json(&word) });
            }
        }
    }
    (depth == 0).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, json: &str) {
        assert_eq!(Kind::of(name).json(text), json, "{name}");
    }

    #[test]
    fn values_are_what_they_are_in_json() {
        check("BOOL", "t", "true");
        check("INT8", "9007199254740993", "9007199254740993");
        check("NUMERIC", "12345678901234567890.10", "12345678901234567890.10");
        check("NUMERIC", "NaN", "\"NaN\"");
        check("FLOAT8", "1e+20", "1e+20");
        check("TIMESTAMPTZ", "2026-01-31 12:00:00.5+00", "\"2026-01-31T12:00:00.5Z\"");
        check("TIMESTAMP", "2026-01-31 12:00:00", "\"2026-01-31T12:00:00\"");
        check("TIMESTAMPTZ", "infinity", "\"infinity\"");
        check("JSONB", r#"{"a": [1, null]}"#, r#"{"a": [1, null]}"#);
        check("TEXT", "a \"b\"\n", r#""a \"b\"\n""#);
        check("INTERVAL", "1 day", "\"1 day\"");
    }

    #[test]
    fn lists_are_lists() {
        check("INT4[]", "{1,NULL,3}", "[1,null,3]");
        check("TEXT[]", r#"{a,"b, \"c\"","NULL",""}"#, r#"["a","b, \"c\"","NULL",""]"#);
        check("TEXT[]", "{}", "[]");
        check("INT4[]", "{{1,2},{3,4}}", "[[1,2],[3,4]]");
        check("INT4[]", "[0:1]={1,2}", "[1,2]");
        check("JSONB[]", r#"{"{\"a\": 1}"}"#, r#"[{"a": 1}]"#);
        check("INT4[]", "{1", "\"{1\"");
    }
}
