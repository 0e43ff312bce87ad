//! All readers agree: the reader machine over the whole log, each node's state, the read model.

use command_api::engine::{Snapshot, SubmitError};
use domain::id::StreamId;
use infra::log::{Offset, Reader, Stepped};

use super::{
    super::{history::Violation, node::Node, plan, world::World},
    truth::Truth,
};

/// What a node says of each stream.
pub(super) struct View {
    node: usize,
    /// The last commit that it has read.
    seq: u64,
    snapshots: Vec<(StreamId, Result<Snapshot, SubmitError>)>,
}

/// A node may have to load a state to tell of it.
pub(super) fn views(nodes: &mut [Node]) -> Vec<View> {
    let view = |(node, at): (usize, &mut Node)| {
        let machine = &mut at.process.as_mut()?.machine;
        let snapshots = (0..3).map(plan::stream).map(|stream| {
            let snapshot = machine.snapshot(&stream);
            (stream, snapshot)
        });
        let snapshots = snapshots.collect();
        Some(View { node, seq: machine.status().seq, snapshots })
    };
    nodes.iter_mut().enumerate().filter_map(view).collect()
}

pub(super) fn check(world: &World, views: &[View], truth: &Truth<'_>) -> Result<(), Violation> {
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
    views.iter().try_for_each(|view| check_view(view, truth))
}

/// A node's confirmed state is that of the log, as far as it has read.
fn check_view(view: &View, truth: &Truth<'_>) -> Result<(), Violation> {
    let View { node, seq, snapshots } = view;
    let commits = &truth.commits[..usize::try_from(*seq).unwrap_or(0).min(truth.commits.len())];
    for (stream, snapshot) in snapshots {
        let revision: usize = commits.iter().map(|commit| commit.events_of(stream)).sum();
        let Some(states) = truth.streams.get(stream) else { continue };
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
