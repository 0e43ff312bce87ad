//! All readers agree: the reader machine over the whole log, each node's state, the read model.

use infra::log::{Offset, Reader, Stepped};

use super::{
    super::{plan, violation::Violation, world::World},
    truth::{EmittedBody, Truth},
};

pub(super) fn check(world: &World, truth: &Truth<'_>) -> Result<(), Violation> {
    let expected: Vec<Offset> = truth.commits.iter().map(|commit| commit.next_offset).collect();
    let mut reader = Reader::start().with_mistakes(world.mistakes);
    let mut found = Vec::new();
    for record in &world.outside.partition.records {
        match reader.step(record.clone()) {
            Ok(Stepped::Commit(commit)) => found.push(commit.next_offset),
            Ok(_) => {}
            Err(halt) => return Err(Violation::new("readers agree", halt.to_string())),
        }
    }
    if found != expected {
        let detail = format!("the reader machine finds commits before {found:?}, not {expected:?}");
        return Err(Violation::new("readers agree", detail));
    }
    let folded = &world.model.folded;
    if *folded != expected {
        let detail = format!("the read model holds commits before {folded:?}, not {expected:?}");
        return Err(Violation::new("the projector neither skips nor doubles", detail));
    }
    (0..world.nodes.len()).try_for_each(|node| check_node(world, truth, node))
}

/// A node's confirmed state is that of the log, as far as it has read.
fn check_node(world: &World, truth: &Truth<'_>, node: usize) -> Result<(), Violation> {
    let Some(process) = &world.nodes[node].process else { return Ok(()) };
    let seq = process.machine.status().seq;
    let commits = &truth.commits[..usize::try_from(seq).unwrap_or(0).min(truth.commits.len())];
    for stream in (0..3).map(plan::stream) {
        let events = commits.iter().map(|commit| match &commit.body {
            EmittedBody::Events(events) if events[0].stream == stream => events.len(),
            EmittedBody::Events(_) | EmittedBody::Barrier(_) => 0,
        });
        let revision: usize = events.sum();
        let Some(states) = truth.streams.get(&stream) else { continue };
        let snapshot = process.machine.snapshot(&stream);
        let right = snapshot.as_ref().is_ok_and(|snapshot| {
            usize::try_from(snapshot.revision) == Ok(revision) && snapshot.state == states[revision]
        });
        if !right {
            let detail = format!(
                "n{node} has read up to commit {seq} and has {stream} as {snapshot:?}, not as \
                 {:?} at {revision}",
                states[revision]
            );
            return Err(Violation::new("readers agree", detail).about(format!("n{node} ")));
        }
    }
    Ok(())
}
