//! One payment of an order through a provider: requested, then authorised, declined or expired.

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
