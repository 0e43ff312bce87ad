//! What must hold of a history once it is over.
//!
//! **Invariant:** the checks share no code with the machines. What counts in the log is decided by
//! the auditor, from envelopes as they are written; what a command should have led to, by the domain.

mod answers;
mod linear;
mod readers;
mod truth;

use super::{history::Violation, world::World};
use truth::Truth;

/// # Errors
/// The first promise that was broken.
pub(super) fn all(world: &mut World) -> Result<(), Violation> {
    let views = readers::views(&mut world.nodes);
    let truth = Truth::read(world)?;
    readers::check(world, &views, &truth)?;
    answers::check(world, &truth)?;
    linear::check(world, &truth)?;
    check_deadlines(world, &truth)
}

/// Time has passed all deadlines, so none is left.
fn check_deadlines(world: &World, truth: &Truth<'_>) -> Result<(), Violation> {
    let now = world.outside.now;
    for (stream, states) in &truth.streams {
        let deadline = states.last().and_then(|state| state.next_deadline());
        if let Some(deadline) = deadline.filter(|deadline| *deadline <= now) {
            let detail = format!("{stream} still waits for {deadline}, and it is {now}");
            return Err(Violation::new("deadlines fire", detail).about(stream.as_str()));
        }
    }
    Ok(())
}
