//! A version of a projection beside the live one: made from the log, switched to, rolled back,
//! dropped, while readers go on.
//!
//! 1. `begin` makes the schema: tables that are not logged, without the indexes that only readers
//!    need, and a mark that a crash of PostgreSQL wipes out along with the rows.
//! 2. `copy` reads each shard in bulk, with the same compare-and-set as any batch.
//! 3. `lifecycle` takes the version from state to state: `finish` makes the tables durable and the
//!    indexes; then the runner feeds it like any other until it has caught up.
//! 4. `switch` shows it to readers, in one transaction, and leads back the same way.
//!
//! All state is in PostgreSQL, so any projector goes on where another was killed.
//!
//! **Invariant:** nothing here writes to a live version.

pub(crate) mod begin;
pub(crate) mod control;
pub(crate) mod copy;
pub(crate) mod drop;
mod finish;
pub(crate) mod lifecycle;
pub(crate) mod mark;
mod refused;
pub(crate) mod switch;

pub(crate) use control::Control;
pub(crate) use refused::Refused;
