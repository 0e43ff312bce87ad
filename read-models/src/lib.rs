//! The read models, one file each: what the projector writes and the query API reads, tied by types.
//!
//! A file has the name of its read model, its tables and views, the rows that its streams fold into,
//! and the documents that clients see. `projection` says what such a file consists of, `row` how
//! events become rows, `flat` what analysts see of them, `sum` how they add up to rows that many streams share,
//! `entry` what a single event leaves, `cell` what a column can hold, and `document` how stored JSON reaches clients
//! without being parsed.
//!
//! **Invariant:** there is no connection, no transaction and no route in here. Rows are a pure function
//! of the log: a fold reads no clock and no other row.

mod cell;
mod document;
mod entry;
mod flat;
mod inapplicable;
mod projection;
mod row;
mod sum;

mod line;
mod past;

pub mod api_keys;
pub mod carts;
#[cfg(any(test, feature = "testing"))]
pub mod demand;
pub mod journal;
pub mod orders;
pub mod products;
pub mod sales;
pub mod stock;
#[cfg(test)]
mod testing;
#[cfg(any(test, feature = "testing"))]
pub mod wish_lists;

pub use cell::{Cell, Column, Get, Kind, Table};
pub use document::{Document, Shown};
pub use entry::{Entry, EntryTable, Place};
pub use flat::{Flat, FlatColumn, Shows};
pub use inapplicable::Inapplicable;
pub use line::{Adjustment, CartTotals, Line, Money};
pub use past::{History, Past, Showing};
pub use projection::{Fold, Projection};
pub use row::{Evolved, Key, Origin, Row, Slot};
pub use sum::{Amount, SumTable, Sums};

/// All of this release; a new one adds its line here.
pub const ALL: &[Projection] = &[
    api_keys::API_KEYS,
    carts::CARTS,
    journal::JOURNAL,
    orders::ORDERS,
    products::PRODUCTS,
    sales::SALES,
    stock::STOCK,
    #[cfg(any(test, feature = "testing"))]
    wish_lists::WISH_LISTS,
];
