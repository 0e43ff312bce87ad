//! What tells of a person, as pseudonyms: `~` and 22 characters, the same for the same text, whatever
//! member it stands in. So what belongs together still does, and people can be counted.
//!
//! Data go from text to text: everything but texts that are personal stays as it was written, byte by
//! byte.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{StreamType, personal::Texts};
use hmac::{Hmac, Mac};
use infra::{codec, pseudonym};
use secrecy::SecretString;
use sha2::Sha256;

/// Lists and objects within one another. No event comes near.
const DEPTH_MAX: usize = 64;
/// Bytes of the hash that a pseudonym shows.
const SHOWN_BYTES: usize = 16;

#[derive(Clone)]
pub(crate) struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    pub(crate) fn new(key: &SecretString) -> Self {
        Self(pseudonym::hmac(key))
    }

    fn of(&self, text: &str) -> String {
        let hash = self.0.clone().chain_update(text).finalize().into_bytes();
        let shown = hash.get(..SHOWN_BYTES).unwrap_or_default();
        format!("~{}", URL_SAFE_NO_PAD.encode(shown))
    }

    /// The data of an event without personal texts; `None` if they are no JSON, or too deep.
    pub(crate) fn mask(&self, event_type: &str, data: &[u8]) -> Option<Vec<u8>> {
        let texts = codec::short_name(event_type).and_then(StreamType::texts_of);
        let out = Vec::with_capacity(data.len());
        let mut walk = Walk { data, at: 0, path: String::new(), texts, names: self, out };
        walk.value(DEPTH_MAX)?;
        walk.space();
        (walk.at == data.len()).then_some(walk.out)
    }
}

/// On its way through a text of JSON.
struct Walk<'a> {
    data: &'a [u8],
    at: usize,
    /// Of the value that comes next.
    path: String,
    texts: Option<&'static Texts>,
    names: &'a Pseudonyms,
    out: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, depth: usize) -> Option<()> {
        self.space();
        match self.peek()? {
            b'{' => self.members(depth.checked_sub(1)?, b'}', true),
            b'[' => self.members(depth.checked_sub(1)?, b']', false),
            b'"' => {
                let text = self.text()?;
                if self.texts.is_some_and(|texts| texts.is_plain(&self.path)) {
                    self.out.extend_from_slice(text);
                    return Some(());
                }
                let text: Cow<'_, str> = serde_json::from_slice(text).ok()?;
                self.out.push(b'"');
                self.out.extend_from_slice(self.names.of(&text).as_bytes());
                self.out.push(b'"');
                Some(())
            }
            _ => self.word(),
        }
    }

    fn members(&mut self, depth: usize, close: u8, named: bool) -> Option<()> {
        self.copy()?;
        self.space();
        if self.peek()? == close {
            return self.copy();
        }
        loop {
            let parent = self.path.len();
            if named {
                self.space();
                let name = self.text()?;
                self.out.extend_from_slice(name);
                // A name with escapes stays as it is, and so is none that is declared.
                let name = std::str::from_utf8(name.get(1..name.len().checked_sub(1)?)?).ok()?;
                if parent > 0 {
                    self.path.push('.');
                }
                self.path.push_str(name);
                self.space();
                if self.peek()? != b':' {
                    return None;
                }
                self.copy()?;
            }
            self.value(depth)?;
            self.path.truncate(parent);
            self.space();
            match self.peek()? {
                b',' => self.copy()?,
                end if end == close => return self.copy(),
                _ => return None,
            }
        }
    }

    /// A text with its quotes, which is not copied yet.
    fn text(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return self.data.get(start..self.at);
                }
                _ => self.at += 1,
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            self.at += 1;
        }
        let word = self.data.get(start..self.at).filter(|word| !word.is_empty())?;
        self.out.extend_from_slice(word);
        Some(())
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn copy(&mut self) -> Option<()> {
        self.out.push(self.peek()?);
        self.at += 1;
        Some(())
    }

    fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use domain::testing::golden;
    use serde_json::{Value, json};

    use super::*;

    fn names() -> Pseudonyms {
        Pseudonyms::new(&"0123456789abcdef0123456789abcdef".into())
    }

    fn masked(event_type: &str, data: &str) -> Value {
        let masked = names().mask(event_type, data.as_bytes()).expect("data");
        serde_json::from_slice(&masked).expect("JSON")
    }

    #[test]
    fn personal_texts_become_pseudonyms_that_still_tell_who_is_who() {
        let placed = r#" {"email":"ada@example.com", "channel":"web","lines":[{"name":"Tea","quantity":2}],"note":"ada@example.com"} "#;
        let placed = masked("tradewind.order.placed.v1", placed);
        let pseudonym = placed["email"].as_str().unwrap();
        assert!(pseudonym.starts_with('~') && pseudonym.len() == 23, "{pseudonym}");
        let expected = json!({
            "email": pseudonym, "channel": "web", "lines": [{"name": "Tea", "quantity": 2}],
            "note": pseudonym,
        });
        assert_eq!(placed, expected);
        let checked_out = masked(
            "tradewind.cart.checked_out.v1",
            r#"{"checkout":{"email":"ada\u0040example.com"}}"#,
        );
        assert_eq!(checked_out["checkout"]["email"], pseudonym);
    }

    #[test]
    fn another_key_makes_other_pseudonyms() {
        let other = Pseudonyms::new(&"another key of thirty-two characters".into());
        assert_ne!(names().of("ada"), other.of("ada"));
    }

    #[test]
    fn every_stored_event_keeps_its_shape_and_loses_what_is_personal() {
        for golden in golden::all() {
            let found = masked(&golden.event_type(), &golden.data);
            let text = found.to_string();
            for personal in
                ["ada@example.com", "Ada Example", "1 Main Street", "household-1", "tok_ok"]
            {
                assert!(!text.contains(personal), "{}: {text}", golden.event_type());
            }
            let data: Value = serde_json::from_str(&golden.data).unwrap();
            let names =
                |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&found), names(&data));
        }
    }

    #[test]
    fn of_types_that_nobody_knows_every_text_is_personal() {
        let found = masked("tradewind.order.sent_by_post.v1", r#"{"order_id":"x","n":1.50}"#);
        assert!(found["order_id"].as_str().unwrap().starts_with('~'));
        assert_eq!(found["n"], 1.5);
    }

    #[test]
    fn what_is_no_json_is_not_shown() {
        for bad in ["", "{", "{\"a\"}", "[1,]", "\"a", "{}{}", "{\"a\":\"\\", "[1 2]"] {
            assert_eq!(names().mask("tradewind.order.placed.v1", bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(names().mask("x", "[".repeat(100_000).as_bytes()), None);
    }
}
