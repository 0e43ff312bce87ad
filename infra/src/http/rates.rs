//! How much each client may ask of a service: token buckets, and how an answer tells of them.
//!
//! Who asks is a key that holds, else a cart's token together with the address it comes from, else the
//! address: a token alone is nobody, for it costs nothing to make up. A key that has not been seen to
//! hold costs its address a little of what it has for guesses, unless nobody can say whether it does: then
//! it is the address that asks.
//!
//! There are [`bucket::CLIENTS_MAX`] buckets of each kind at most. Beyond it those that were not asked for lately
//! are forgotten: such a client begins with a full one.

mod bucket;
mod limiter;
mod ticket;
mod weight;

#[cfg(test)]
mod tests;

pub(super) use limiter::Limiter;
pub use ticket::Ticket;
pub use weight::Weight;
