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
//! 2. Both a batch and an operator's change begin by updating the checkpoint's row, so of the two one
//!    waits until the other has ended.
//! 3. The change makes the row's `letters` grow, and a batch goes through only if `letters` is what
//!    it was when the applier read what is parked: first the number, then the keys, so that a change
//!    in between is noticed. A batch that was made before the change is made anew after it.
//! 4. So when a key's events are folded, in their order, all that were ahead of the change are still
//!    ahead, and those that were parked are all there is.
//!
//! `corrections` is what edits and skips leave behind; `parked` is what the applier knows and writes;
//! `settle` is what operators do; `book` is what they see; `forget` removes what is old.

mod book;
mod corrections;
mod forget;
mod parked;
mod settle;
#[cfg(test)]
pub(crate) mod testing;

pub use book::{AuditEntry, DeadLetter, DeadLetterState, Detail, ParkedEvent};
pub(crate) use book::{Filter, find, list};
pub(crate) use corrections::{CorrectedEvent, Corrections};
pub(crate) use forget::forget_old;
pub(crate) use parked::{
    DeadLetters, EventPosition, EventToPark, EventsToPark, NewDeadLetter, NewlyParked,
    first_parked, forget_version,
};
pub(crate) use settle::{Act, SettleError, Settled, settle};
