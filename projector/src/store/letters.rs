//! Events that a projection cannot apply, in sequence.
//!
//! Such an event is parked along with all later events of its key, for that projection alone;
//! everything else flows on. A commit is taken over whole or not at all, so what it holds for the key
//! is parked together. An operator has the parked events tried again, after editing or skipping the
//! one that did not fit.
//!
//! Why no event is lost, doubled or put before another, whatever dies and however an operator's
//! change meets a batch:
//! 1. A batch parks in the transaction that moves its checkpoint: an event is folded, or parked, or
//!    still ahead.
//! 2. Both a batch and an operator's change begin by locking the checkpoint's row, so of the two one
//!    waits until the other has ended, or does nothing and is tried again.
//! 3. The change makes the row's `letters` grow, and a batch goes through only if `letters` is what
//!    it was when what is parked was read: first the number, then the keys, so that a change
//!    in between is noticed. A batch that was made before the change is made anew after it.
//! 4. So when a key's events are folded, in their order, all that were ahead of the change are still
//!    ahead, and those that were parked are all there is.
//!
//! `corrections` is what edits and skips leave behind; `parked` is what batches know and write;
//! `book` is what operators see. What they do is `settle`, a room above.

mod book;
mod corrections;
mod parked;

use std::time::Duration;

use infra::{postgres::Pool, telemetry::chain};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

pub use book::{AuditEntry, DeadLetter, DeadLetterState, Detail, ParkedEvent};
pub(crate) use book::{Filter, find, list, shown};
pub(crate) use corrections::{Act, Corrections, Decision, stored_stream};
pub(crate) use parked::{
    DeadLetters, EventPosition, EventToPark, EventsToPark, NewDeadLetter, NewlyParked,
    first_parked, forget, forget_version, storable, waiting,
};

/// Between looks for letters that nobody looks up any more.
const FORGET_INTERVAL: Duration = Duration::from_secs(3600);

/// Removes what was settled so long ago, now and every hour; never returns.
pub(crate) async fn forget_old(pool: Pool, kept_days: i32) {
    let mut turns = interval(FORGET_INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut all = 0;
    loop {
        turns.tick().await;
        let forgotten = sqlx::query_scalar("SELECT projection.forget_dead_letters($1)");
        match forgotten.bind(kept_days).fetch_one(&pool).await {
            Ok(0_i64) if all == 0 => {}
            Ok(0) => {
                info!(letters = all, "removed dead letters that were settled long ago");
                all = 0;
            }
            Ok(letters) => {
                // The server removes a thousand at once; are there more?
                all += letters;
                turns.reset_immediately();
            }
            // The next turn finds the same ones.
            Err(error) => warn!("old dead letters are not removed: {}", chain(&error)),
        }
    }
}
