//! JSON texts into columns, without a tree of JSON in between.
//!
//! **Invariant:** what a column cannot hold is an error, never a null: a sum over what was silently left
//! out would be wrong, and nobody would know. So is a member within a column that its struct lacks. Only
//! whole rows may have members without a column.

mod builders;
mod read;

use arrow_array::ArrayRef;
use arrow_schema::ArrowError;
use serde::de::DeserializeSeed;

use super::delta::Field;
use builders::Object;
use read::Into;

/// The members of objects, a column each.
pub(crate) struct Columns(Object);

impl Columns {
    pub(crate) fn new(fields: &[Field]) -> Self {
        Self(Object::of_rows(fields))
    }

    /// A row of the members of an object in JSON. After an error none of it is of any use.
    pub(crate) fn push(&mut self, text: &[u8]) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        Into(&mut self.0).deserialize(&mut deserializer)
    }

    pub(crate) fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests;
