//! Errors of single fields, gathered so that a client learns of all of them at once.

use std::{borrow::Cow, fmt::Display};

use super::problem::{FieldError, POINTER_BYTES_MAX, Problem, bounded};

/// Collects the errors of a request.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

/// A request that can say what is wrong with itself beyond the types of its fields.
pub trait Validate {
    /// Adds every error that it finds. The default finds none.
    fn validate(&self, fields: &mut Fields) {
        let _ = fields;
    }
}

/// Checks these fields of a type, each where its name says.
#[macro_export]
macro_rules! validates {
    ($type:ty: $($field:ident),+) => {
        impl $crate::http::fields::Validate for $type {
            fn validate(&self, fields: &mut $crate::http::fields::Fields) {
                $(fields.value(concat!("/", stringify!($field)), &self.$field);)+
            }
        }
    };
}

impl Validate for () {}
impl Validate for serde_json::Value {}

/// What is not there has nothing wrong.
impl<T: Validate> Validate for Option<T> {
    fn validate(&self, fields: &mut Fields) {
        if let Some(value) = self {
            value.validate(fields);
        }
    }
}

impl Fields {
    /// Errors that one answer lists. More of them help nobody.
    const ERRORS_MAX: usize = 100;

    pub fn add(
        &mut self,
        pointer: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) {
        if !self.is_full() {
            self.0.push(FieldError::new(pointer, code, detail));
        }
    }

    /// Adds an error unless `holds`.
    pub fn check(
        &mut self,
        pointer: impl Into<Cow<'static, str>>,
        code: &'static str,
        holds: bool,
        detail: impl Into<Cow<'static, str>>,
    ) {
        if !holds {
            self.add(pointer, code, detail);
        }
    }

    /// Adds what is wrong with a part of the request that stands at this pointer, which is put in words
    /// only then.
    pub fn within(&mut self, at: impl Display, part: &impl Validate) {
        let before = self.0.len();
        part.validate(self);
        for FieldError { pointer, .. } in self.0.iter_mut().skip(before) {
            *pointer = bounded(format!("{at}{pointer}").into(), POINTER_BYTES_MAX);
        }
    }

    /// [`Fields::within`] of each item of a list.
    pub fn each(&mut self, at: &str, items: &[impl Validate]) {
        for (index, item) in items.iter().enumerate() {
            self.within(format_args!("{at}/{index}"), item);
        }
    }

    /// No more errors are taken: looking for them is of no use.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.len() >= Self::ERRORS_MAX
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// All errors together: 422 `invalid_field`.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(self.0)) }
    }
}

/// The path of a control character that text must not carry: all but tab and newline.
#[must_use]
pub(crate) fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n')
}
