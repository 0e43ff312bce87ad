//! What is on hand of a SKU, and who holds how much of it.

mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

pub use command::*;
pub use decide::*;
pub use event::*;
pub use rejection::Rejection;
pub use state::*;
