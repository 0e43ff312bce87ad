//! When the machine claims, what it sends again, and how it leaves the shard to another node: what is under
//! way ends, nothing new begins.

use std::time::Duration;

use super::{
    super::super::{
        SubmitError,
        effect::{Input, TakeOverReason},
    },
    World, adjust, receive,
};

/// How long it takes until the machine claims again.
fn wait(world: &World) -> Duration {
    world.machine.wakes_at().expect("a claim that is due").since(world.now)
}

#[test]
fn claims_follow_each_other_at_growing_intervals_until_one_succeeds() {
    let mut world = World::serving();
    let mut waits = Vec::new();
    world.step(Input::AppendFailed);
    for round in 0..9 {
        waits.push(wait(&world));
        if round % 2 == 0 {
            world.send_claim();
            world.lose();
        } else {
            world.claim();
            world.pass(Duration::from_millis(900));
            assert!(world.machine.is_serving(), "but not for long");
            world.step(Input::AppendFailed);
        }
    }
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100));
    assert!(waits[8] >= Duration::from_secs(5) && waits[8] <= Duration::from_secs(10));
    world.claim();
    world.pass(Duration::from_secs(1));
    world.step(Input::AppendFailed);
    assert!(wait(&world) <= Duration::from_millis(100), "it starts again after a success");
}

#[test]
fn a_deposed_writer_gives_way_first() {
    let (mut world, _) = World::under_way();
    world.foreign_claim();
    world.deliver();
    assert_eq!(world.take_overs, [TakeOverReason::Deposed]);
    assert!(wait(&world) >= Duration::from_millis(250));
}

#[test]
fn who_should_own_the_shard_no_more_does_not_claim_it() {
    let mut world = World::serving();
    world.step(Input::AppendFailed);
    world.resign();
    assert_eq!(world.machine.wakes_at(), None);
    world.appoint();
    assert_eq!(wait(&world), Duration::ZERO);
}

#[test]
fn what_the_writer_has_no_room_for_is_sent_again_in_order() {
    let mut world = World::serving();
    world.room = 2;
    let requests: Vec<u64> = (1..=5).map(|key| world.submit(key, receive(1))).collect();
    world.drain();
    assert_eq!(world.wire.len(), 2);
    let late = world.submit(6, adjust(-1));
    world.drain();
    assert_eq!(world.wire.len(), 2, "it does not overtake the others");
    world.deliver_all();
    let revisions: Vec<u64> = requests.iter().map(|request| world.committed_at(*request)).collect();
    assert_eq!((revisions, world.committed_at(late)), ((1..=5).collect(), 6));
    assert_eq!(world.take_overs, []);
}

#[test]
fn time_may_make_room() {
    let mut world = World::serving();
    world.room = 0;
    let request = world.submit(1, receive(1));
    world.drain();
    world.room = 1;
    world.drain();
    assert!(world.wire.is_empty(), "nothing tells of the room");
    world.pass(Duration::from_millis(50));
    world.deliver_all();
    assert_eq!(world.committed_at(request), 1);
}

#[test]
fn a_resigned_owner_settles_what_is_under_way_and_then_lets_go() {
    let (mut world, under_way) = World::under_way();
    world.resign();
    assert!(world.machine.is_serving(), "its record may still count");
    let late = world.submit(2, receive(1));
    assert_eq!(world.reply(late), Some(&Err(SubmitError::NotOwner)));
    world.deliver_all();
    assert_eq!(world.committed_at(under_way), 1);
    world.drain();
    assert!(world.machine.is_idle());
    assert_eq!(world.let_gos, 1);
}

#[test]
fn what_the_next_owner_cut_off_goes_to_it_under_the_same_id() {
    let (mut world, cut_off) = World::under_way();
    world.resign();
    world.foreign_claim();
    world.deliver();
    assert_eq!(world.take_overs, [TakeOverReason::Deposed]);
    world.drain();
    assert_eq!(world.reply(cut_off), Some(&Err(SubmitError::NotOwner)));
    assert!(world.machine.is_idle());
}

#[test]
fn an_outcome_that_is_known_is_told_by_whoever_knows_it() {
    let mut world = World::serving();
    world.submit(1, receive(5));
    world.deliver_all();
    world.resign();
    let again = world.submit(1, receive(5));
    assert_eq!(world.committed_at(again), 1);
}

#[test]
fn a_standby_follows_the_log_and_goes_on_from_there() {
    let mut owner = World::serving();
    owner.submit(1, receive(5));
    owner.deliver_all();
    let mut standby = World::after(&owner);
    standby.resign();
    standby.follow();
    assert_eq!(standby.machine.next_offset(), owner.machine.next_offset());
    let refused = standby.submit(2, adjust(-5));
    assert_eq!(standby.reply(refused), Some(&Err(SubmitError::NotOwner)));
    standby.appoint();
    standby.claim();
    let taken = standby.submit(2, adjust(-5));
    standby.deliver_all();
    assert_eq!(standby.committed_at(taken), 2);
}
