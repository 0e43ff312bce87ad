//! What the processes of a shard could not do: steps that failed for good, until an operator has
//! them tried again or skipped. One stream per shard whose events the processes follow.

mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

pub use command::*;
pub use decide::OPEN_MAX;
pub use event::*;
pub use rejection::Rejection;
pub use state::*;
