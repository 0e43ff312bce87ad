//! PostgreSQL: the pool, the migrations and the notifications.

mod listen;
mod migrate;
mod pool;

pub use listen::{Listener, ListenerEvent, POSITIONS_CHANNEL};
pub use migrate::{MigrateFailed, migrate, migrate_by};
pub use pool::{InvalidUrl, Pool, pool};
