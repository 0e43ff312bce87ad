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

use axum::http::{Method, Uri};

pub(super) use limiter::Limiter;
pub use ticket::Ticket;

/// What requests to a route weigh that cost more than others. The services know which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// As the contract has it.
    pub route: &'static str,
    /// Only with this parameter.
    pub parameter: Option<&'static str>,
    pub weight: u32,
}

const READ: u32 = 1;
const WRITE: u32 = 2;

impl Weight {
    #[must_use]
    pub const fn of(route: &'static str, weight: u32) -> Self {
        Self { route, parameter: None, weight }
    }

    #[must_use]
    pub const fn with(route: &'static str, parameter: &'static str, weight: u32) -> Self {
        Self { route, parameter: Some(parameter), weight }
    }

    /// By the first entry that fits, else by the method.
    pub(super) fn find(table: &[Self], route: &str, method: &Method, uri: &Uri) -> u32 {
        let query = uri.query().unwrap_or_default();
        let has = |name: &str| {
            let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
            names.any(|other| other == name)
        };
        let fits = |it: &&Self| it.route == route && it.parameter.is_none_or(has);
        table
            .iter()
            .find(fits)
            .map_or_else(|| if method.is_safe() { READ } else { WRITE }, |entry| entry.weight)
    }
}

#[cfg(test)]
mod tests;
