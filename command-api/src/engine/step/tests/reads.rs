//! What a read waits for, and what it is told.

use std::time::Duration;

use super::{
    super::{
        super::{SubmitError, effect::TakeOverReason},
        read::READS_PENDING_MAX,
    },
    World, receive,
};

/// How long a barrier waits for a commit to ride with.
const LONE_WAIT: Duration = Duration::from_millis(5);

#[test]
fn a_read_waits_until_a_record_proves_that_the_shard_is_still_served_here() {
    let mut world = World::serving();
    let read = world.ask();
    world.drain();
    assert!(world.wire.is_empty(), "a commit may still come by");
    world.pass(LONE_WAIT);
    assert_eq!((world.wire.len(), world.read(read)), (1, None), "appended is not emitted");
    world.deliver();
    assert_eq!(world.read(read), Some(Ok(())));
}

#[test]
fn a_record_that_was_under_way_already_proves_nothing() {
    let (mut world, _) = World::under_way();
    let read = world.ask();
    world.deliver();
    assert_eq!(world.read(read), None);
    world.pass(LONE_WAIT);
    world.deliver();
    assert_eq!(world.read(read), Some(Ok(())));
}

#[test]
fn reads_ride_with_a_commit_and_need_no_record_of_their_own() {
    let mut world = World::serving();
    let before = world.ask();
    world.submit(1, receive(5));
    let after = world.ask();
    world.drain();
    assert_eq!(world.wire.len(), 1);
    world.deliver();
    assert_eq!((world.read(before), world.read(after)), (Some(Ok(())), Some(Ok(()))));
}

#[test]
fn commits_follow_a_barrier_that_carries_nothing() {
    let mut world = World::serving();
    world.ask();
    world.pass(LONE_WAIT);
    world.submit(1, receive(5));
    world.deliver_all();
    assert_eq!(world.audit(), [1]);
}

#[test]
fn a_deposed_writer_shows_nothing_before_it_serves_again() {
    let mut world = World::serving();
    let read = world.ask();
    world.foreign_claim();
    world.pass(LONE_WAIT);
    world.deliver();
    assert_eq!(world.take_overs, [TakeOverReason::Deposed]);
    assert_eq!(world.read(read), None, "the other one may have answered meanwhile");
    world.claim();
    assert_eq!(world.read(read), None, "the proof of the ended epoch is void");
    world.pass(LONE_WAIT);
    world.deliver();
    assert_eq!(world.read(read), Some(Ok(())));
}

#[test]
fn a_read_before_the_take_over_waits_for_it() {
    let mut world = World::after(&World::serving());
    let read = world.ask();
    world.claim();
    world.pass(LONE_WAIT);
    world.deliver();
    assert_eq!(world.read(read), Some(Ok(())));
}

#[test]
fn a_shard_that_is_let_go_is_read_elsewhere() {
    let mut world = World::serving();
    let pending = world.ask();
    world.resign();
    let late = world.ask();
    assert_eq!(world.read(pending), Some(Err(SubmitError::NotOwner)));
    assert_eq!(world.read(late), Some(Err(SubmitError::NotOwner)));
}

#[test]
fn too_many_reads_and_reads_of_a_silent_log_are_refused_at_once() {
    let mut world = World::serving();
    let first = world.ask();
    for _ in 1..READS_PENDING_MAX {
        world.ask();
    }
    let beyond = world.ask();
    assert_eq!((world.read(first), world.read(beyond)), (None, Some(Err(SubmitError::Busy))));
    world.pass(LONE_WAIT);
    world.deliver();
    assert_eq!(world.read(first), Some(Ok(())));

    world.submit(1, receive(1));
    world.drain();
    world.pass(Duration::from_secs(3));
    let stalled = world.ask();
    assert_eq!(world.read(stalled), Some(Err(SubmitError::Busy)));
}
