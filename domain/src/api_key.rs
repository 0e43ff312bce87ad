//! An API key of a machine: issued once, usable until it is revoked or expires.

mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

pub use command::*;
pub use event::*;
pub use rejection::Rejection;
pub use state::*;
