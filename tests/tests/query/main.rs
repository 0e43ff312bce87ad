//! The query API on a real PostgreSQL, over rows that the tests write into the projector's tables.

mod catalogue;
mod guests;
mod orders;
mod outage;
mod positions;
mod reports;
mod rig;
