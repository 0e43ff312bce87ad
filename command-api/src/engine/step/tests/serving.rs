//! What a serving shard answers, and when.

use std::time::Duration;

use domain::{StreamType, id::StreamId};

use super::{
    super::super::{Submission, SubmitError},
    World, adjust, receive, reserve, reserve_as, submission,
};

#[test]
fn a_command_is_answered_when_its_commit_is_emitted_and_not_before() {
    let (mut world, request) = World::under_way();
    assert_eq!(world.reply(request), None, "appended is not committed");
    world.deliver();
    assert_eq!(world.committed_at(request), 1);
}

#[test]
fn what_nobody_could_read_is_refused_and_never_appended() {
    let mut world = World::serving();
    let nameless = StreamId::new(StreamType::Stock, "");
    let request = world.send(Submission { stream: nameless.clone(), ..submission(1, receive(5)) });
    let next = world.submit(2, receive(1));
    world.deliver_all();
    assert_eq!(world.rejected_with(request), 422);
    assert_eq!(world.not_readable, [nameless]);
    assert_eq!(world.committed_at(next), 1, "the shard goes on");
    assert_eq!(world.audit(), [2, 1], "its outcome is in the log, and no event of it");
}

#[test]
fn a_release_reads_back_what_strangers_write_and_a_sample_of_what_follows() {
    let (client, process) = ("key:1", "process:checkout");
    for (key, actor, refused) in [(1, client, 1), (1, process, 0), (16, process, 1)] {
        let mut world = World::serving();
        world.machine.reads_all_back = false;
        let stream = StreamId::new(StreamType::Stock, "");
        let actor = actor.into();
        world.send(Submission { stream, actor, ..submission(key, receive(5)) });
        world.deliver_all();
        assert_eq!(world.not_readable.len(), refused, "{key}");
    }
}

#[test]
fn decisions_run_ahead_of_the_log() {
    let mut world = World::serving();
    let (first, second) = (world.submit(1, receive(5)), world.submit(2, adjust(-5)));
    world.deliver_all();
    assert_eq!((world.committed_at(first), world.committed_at(second)), (1, 2));
    assert_eq!(world.audit(), [1, 2]);
}

#[test]
fn commands_that_arrive_meanwhile_share_the_next_group() {
    let mut world = World::serving();
    for key in 1..=9 {
        world.submit(key, receive(1));
        world.drain();
    }
    assert_eq!(world.wire.len(), 1, "one group is under way, the rest gathers");
    world.deliver();
    assert_eq!(world.wire.len(), 8, "eight commands went as one group");
    world.deliver_all();
    assert_eq!(world.audit(), (1..=9).collect::<Vec<u128>>());
}

#[test]
fn a_rejection_waits_for_the_commits_that_it_rests_on() {
    let mut world = World::serving();
    world.submit(1, receive(5));
    world.submit(2, adjust(-5));
    let rejected = world.submit(3, reserve(1));
    world.drain();
    world.deliver();
    world.deliver();
    assert_eq!(world.reply(rejected), None, "its barrier is not emitted");
    world.deliver();
    assert_eq!(world.rejected_with(rejected), 422);
    assert_eq!(world.audit(), [1, 2, 3], "the outcome is in the log");
}

#[test]
fn a_lone_barrier_waits_for_a_ride_but_not_for_long() {
    let mut world = World::serving();
    let rejected = world.submit(1, reserve(1));
    world.drain();
    assert!(world.wire.is_empty());
    world.pass(Duration::from_millis(5));
    world.deliver_all();
    assert_eq!(world.rejected_with(rejected), 422);
}

#[test]
fn a_clock_that_is_set_back_holds_up_no_barrier() {
    let mut world = World::serving();
    let rejected = world.submit(1, reserve(1));
    world.set_back(Duration::from_millis(900));
    world.pass(Duration::from_millis(1));
    assert!(world.wire.is_empty(), "time has not gone on by as much as it waits for a ride");
    world.pass(Duration::from_millis(10));
    world.deliver_all();
    assert_eq!(world.rejected_with(rejected), 422);
}

#[test]
fn a_retry_gets_the_first_answer_and_adds_nothing() {
    let mut world = World::serving();
    let first = world.submit(1, receive(5));
    let hasty = world.submit(1, receive(5));
    assert_eq!(world.reply(hasty), None, "speculation answers nobody");
    world.deliver_all();
    let late = world.submit(1, receive(5));
    assert_eq!(world.committed_at(first), 1);
    for retry in [hasty, late] {
        assert_eq!(world.committed_at(retry), 1);
        assert!(world.reply(retry).unwrap().as_ref().unwrap().replayed);
    }
    assert_eq!(world.audit(), [1]);
}

#[test]
fn a_rejection_is_remembered_though_the_state_has_moved_on() {
    let mut world = World::serving();
    let rejected = world.submit(1, reserve(1));
    world.pass(Duration::from_millis(5));
    world.deliver_all();
    world.submit(2, receive(5));
    world.deliver_all();
    let retry = world.submit(1, reserve(1));
    assert_eq!(world.rejected_with(rejected), 422);
    assert_eq!(world.rejected_with(retry), 422);
}

#[test]
fn a_key_reused_for_another_request_is_refused_before_and_after_the_commit() {
    let mut world = World::serving();
    world.submit_as(1, receive(5), None, b"one");
    let early = world.submit_as(1, receive(6), None, b"another");
    world.deliver_all();
    let late = world.submit_as(1, receive(6), None, b"another");
    for request in [early, late] {
        assert_eq!(world.reply(request), Some(&Err(SubmitError::KeyReused)));
    }
    assert_eq!(world.audit(), [1]);
}

#[test]
fn if_match_is_held_against_the_newest_decision() {
    let mut world = World::serving();
    world.submit(1, receive(5));
    let stale = world.submit_as(2, receive(5), Some(0), b"same");
    let fresh = world.submit_as(3, receive(5), Some(1), b"same");
    world.deliver_all();
    assert_eq!(world.rejected_with(stale), 412);
    assert_eq!(world.committed_at(fresh), 2);
}

#[test]
fn a_deadline_fires_once() {
    let mut world = World::serving();
    world.submit(1, receive(5));
    world.submit(2, reserve(2));
    world.deliver_all();
    world.pass(Duration::from_hours(1));
    world.pass(Duration::from_millis(50));
    world.deliver_all();
    world.pass(Duration::from_hours(1));
    assert!(world.wire.is_empty());
    assert_eq!(world.audit().len(), 3);
}

#[test]
fn a_deadline_fires_although_another_one_of_the_same_instant_did() {
    let mut world = World::serving();
    world.submit(1, receive(5));
    world.submit(2, reserve(2));
    world.deliver_all();
    world.pass(Duration::from_hours(1));
    world.deliver_all();
    assert_eq!(world.audit().len(), 3);
    // The next owner's clock is an hour behind, so it holds units until the very same instant.
    let mut next = World::after(&world);
    next.claim();
    next.submit(3, reserve_as(78, 2));
    next.deliver_all();
    next.pass(Duration::from_hours(1));
    next.deliver_all();
    assert_eq!(next.audit().len(), 5);
}

#[test]
fn a_silent_log_turns_new_commands_away_at_once() {
    let (mut world, waiting) = World::under_way();
    world.pass(Duration::from_secs(2));
    let late = world.submit(2, receive(5));
    assert_eq!(world.reply(late), Some(&Err(SubmitError::Busy)));
    world.deliver_all();
    assert_eq!(world.committed_at(waiting), 1);
    let later = world.submit(3, receive(5));
    world.deliver_all();
    assert_eq!(world.committed_at(later), 2);
}

#[test]
fn too_many_pending_commands_are_turned_away() {
    let mut world = World::serving();
    for key in 0..10_000 {
        world.submit(key, receive(1));
    }
    let refused = world.submit(10_000, receive(1));
    assert_eq!(world.reply(refused), Some(&Err(SubmitError::Busy)));
    world.deliver_all();
    assert_eq!(world.audit().len(), 10_000);
}
