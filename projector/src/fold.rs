//! How events become rows: `stored` on top of what a batch finds in the tables, `expected` from nothing,
//! for whoever wants to know what should be there.

pub(crate) mod expected;
pub(crate) mod stored;

use read_models::{Inapplicable, Slot};

use crate::event::CorrectedEvent;

/// Whether an event follows on the row of its stream: the first one on none, each other one on the one
/// before it. Only where an operator has had that skipped may there be a gap. What a stream without a row
/// takes, its fold decides.
fn follows(slot: &dyn Slot, corrected: &CorrectedEvent<'_>) -> Result<(), Inapplicable> {
    let Some(row) = slot.revision() else { return Ok(()) };
    let (found, next) = (corrected.event.revision, row.checked_add(1));
    let follows = if corrected.after_skipped { row < found } else { next == Some(found) };
    if follows { Ok(()) } else { Err(Inapplicable::RevisionGap { row, found }) }
}
