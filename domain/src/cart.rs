//! A cart: lines with the prices that were shown, until it is checked out or abandoned.

mod checkout;
mod command;
mod decide;
mod event;
mod line;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

pub use command::*;
pub use decide::{GUEST_IDLE_MAX, GUEST_KEPT, IDLE_MAX};
pub use event::*;
pub use line::{GUEST_QUANTITY_MAX, LINE_AMOUNT_MAX, LINES_BYTES_MAX, LINES_MAX, QUANTITY_MAX};
pub use rejection::Rejection;
pub use state::*;
