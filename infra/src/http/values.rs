//! Texts and numbers of requests that have bounds, which stand once: in the type.
//!
//! **Invariant:** the bounds that a value is checked for are those that the contract shows, for both
//! come from the constants of its type. They are checked by [`Fields::value`] and not while a request is
//! read, so that a client learns of all that is wrong at once.

mod text;
mod whole;

use std::borrow::Cow;

pub use text::{CONTROL, Email, SPACE, Text};
pub use whole::{Whole, from_text};

use super::fields::Fields;

/// A value that may break what its own type promises.
pub trait Value {
    /// What is wrong with it: a code for machines and words for people.
    fn fault(&self) -> Option<Fault>;
}

pub type Fault = (&'static str, Cow<'static, str>);

/// What is not there breaks nothing.
impl<T: Value> Value for Option<T> {
    fn fault(&self) -> Option<Fault> {
        self.as_ref().and_then(T::fault)
    }
}

impl Fields {
    /// Adds what is wrong with a value.
    pub fn value(&mut self, pointer: impl Into<Cow<'static, str>>, value: &impl Value) {
        if let Some((code, detail)) = value.fault() {
            self.add(pointer, code, detail);
        }
    }
}

#[cfg(test)]
mod tests;
