//! The rules of Tradewind: aggregates, their commands and events, and the decisions between them.
//!
//! **Invariant:** nothing here waits, reads a clock, draws a random number or depends on the order
//! of a hash map. The same state, command and time give the same events on every machine.
#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::iter_over_hash_type
)]
// In a test an overflow panics, which is as good as an assertion.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod addressed;
pub mod aggregate;
pub mod capability;
pub mod claim;
pub mod country;
pub mod envelope;
pub mod id;
pub mod money;
pub mod personal;
pub mod schema;
pub mod shard;
pub mod timestamp;
pub mod upcast;

pub mod api_key;
pub mod cart;
pub mod order;
pub mod payment;
pub mod process;
pub mod product;
pub mod sku;
pub mod stock;
#[cfg(any(test, feature = "testing"))]
pub mod wish_list;

/// Hands all aggregates to a macro; a new one adds its line here.
macro_rules! with_aggregates {
    ($macro:ident) => {
        $macro! {
            ApiKey(crate::api_key::ApiKey),
            Cart(crate::cart::Cart),
            Order(crate::order::Order),
            Payment(crate::payment::Payment),
            Process(crate::process::Process),
            Product(crate::product::Product),
            Sku(crate::sku::SkuClaim),
            Stock(crate::stock::Stock),
            #[cfg(any(test, feature = "testing"))]
            WishList(crate::wish_list::WishList),
        }
    };
}

mod model;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use model::{
    AggregateVisitor, Command, Event, Listed, Rejection, State, StreamType, visit_all,
};
