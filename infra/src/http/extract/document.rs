//! What no type sees of a JSON document, in one pass over it: whether it is JSON at all, names that
//! stand twice in an object, numbers that no type could hold, and control characters.
//!
//! Of two members with one name, parsers keep the first, the last or both: who checks one and acts on
//! the other is deceived, so there may be only one (RFC 8259 calls anything else unpredictable).

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};

use super::pointer::{member, push};
use crate::http::{
    fields::{Fields, is_forbidden},
    problem::Problem,
};

const CONTROL_CHARACTER: &str = "must not contain control characters other than tab and newline";

/// Adds an error for each text, names included, that has a forbidden character.
///
/// # Errors
/// 400 for what is not JSON; 422 for the first name that stands twice, or a number out of range.
pub(in crate::http) fn check(json: &[u8], fields: &mut Fields) -> Result<(), Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let mut pointer = String::new();
    let mut twice = false;
    let walk = Walk { pointer: &mut pointer, fields, twice: &mut twice };
    let walked = walk.deserialize(&mut deserializer);
    // The pointer stays where the error is.
    match walked.and_then(|()| deserializer.end()) {
        Ok(()) => Ok(()),
        Err(_) if twice => {
            let detail = "must stand only once in its object";
            Err(Problem::invalid_field(pointer, "duplicate", detail))
        }
        Err(error) if is_out_of_range(&error) => {
            let detail = "is a number out of range";
            Err(Problem::invalid_field(pointer, "out_of_range", detail))
        }
        Err(error) => Err(malformed(&error)),
    }
}

pub(super) fn malformed(error: &serde_json::Error) -> Problem {
    Problem::bad_request("malformed_json", format!("the body is not JSON: {error}"))
}

/// serde_json counts it among errors of syntax, which `1e400` is not, and has no other name for it.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.is_syntax() && error.to_string().starts_with("number out of range")
}

/// Adds an error if a parameter has a forbidden character.
pub(super) fn check_parameter(name: &str, value: &str, fields: &mut Fields) {
    if value.chars().any(is_forbidden) {
        fields.add(member(name), "control_character", CONTROL_CHARACTER);
    }
}

/// The value at the pointer.
struct Walk<'a> {
    pointer: &'a mut String,
    fields: &'a mut Fields,
    /// The error is that the pointer's last name stands twice.
    twice: &'a mut bool,
}

impl Walk<'_> {
    fn below(&mut self) -> Walk<'_> {
        Walk { pointer: self.pointer, fields: self.fields, twice: self.twice }
    }

    fn check(&mut self, text: &str) {
        if text.chars().any(is_forbidden) && !self.fields.is_full() {
            self.fields.add(self.pointer.clone(), "control_character", CONTROL_CHARACTER);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.check(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let length = self.pointer.len();
        for index in 0_usize.. {
            push(self.pointer, itoa::Buffer::new().format(index));
            if items.next_element_seed(self.below())?.is_none() {
                break;
            }
            self.pointer.truncate(length);
        }
        self.pointer.truncate(length);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let length = self.pointer.len();
        let mut names = BTreeSet::new();
        while let Some(Name(name)) = members.next_key()? {
            self.check(&name);
            push(self.pointer, &name);
            if !names.insert(name) {
                *self.twice = true;
                return Err(A::Error::custom("a name stands twice"));
            }
            members.next_value_seed(self.below())?;
            self.pointer.truncate(length);
        }
        Ok(())
    }
}

/// A member's name, copied only if it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
