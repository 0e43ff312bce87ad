//! A product of the catalogue and its price.

mod attribute;
mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, InvalidNumber, Number};
pub use command::*;
pub use decide::DETAILS_BYTES_MAX;
pub use event::*;
pub use rejection::Rejection;
pub use state::*;
