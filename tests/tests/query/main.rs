//! The query API on a real PostgreSQL, over the rows that its read models make of
//! events, which the tests write into the projector's tables.
#![expect(clippy::expect_used, reason = "a test that cannot go on says what it lacked")]

mod catalogue;
mod guests;
mod history;
mod keys;
mod orders;
mod outage;
mod positions;
mod reports;
mod rig;
