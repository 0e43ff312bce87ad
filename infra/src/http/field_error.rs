//! What is wrong with one field, no longer than an answer can use.

use std::borrow::Cow;

use serde::Serialize;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `/<name>` of a parameter.
    #[schema(value_type = String, example = "/lines/0/quantity")]
    pub pointer: Cow<'static, str>,
    /// Stable, for machines.
    #[schema(value_type = String, example = "out_of_range")]
    pub code: Cow<'static, str>,
    #[schema(value_type = String, example = "must be between 1 and 10000")]
    pub detail: Cow<'static, str>,
}

/// Bytes of a pointer. Names in it may be the client's own, and as long as a body.
pub(super) const POINTER_BYTES_MAX: usize = 256;
/// Bytes of a sentence, which may quote what was sent.
const DETAIL_BYTES_MAX: usize = 512;

impl FieldError {
    /// What is longer than an answer can use is cut, and ends with `…`.
    pub(super) fn new(
        pointer: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            pointer: bounded(pointer.into(), POINTER_BYTES_MAX),
            code: code.into(),
            detail: bounded(detail.into(), DETAIL_BYTES_MAX),
        }
    }
}

/// The text, or as much of it as fits, with a sign that there was more.
pub(super) fn bounded(text: Cow<'static, str>, bytes_max: usize) -> Cow<'static, str> {
    if text.len() <= bytes_max {
        return text;
    }
    format!("{}…", text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()).into()
}
