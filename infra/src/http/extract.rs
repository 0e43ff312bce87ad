//! Extractors that say precisely what is wrong: where, with a code, all as a [`Problem`].
//!
//! Not readable at all is 400, readable but wrong is 422 with a JSON pointer per field.

mod body;
pub(super) mod document;
mod parameters;
mod pointer;
mod shape;

pub use body::{BODY_BYTES_MAX, Json, PartOfChecked, Payload, is_stalled, read_body};
pub use parameters::{Id, Path, Query};

#[cfg(test)]
mod tests;
