//! An order: placed, then confirmed or rejected with a reason per line.

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
