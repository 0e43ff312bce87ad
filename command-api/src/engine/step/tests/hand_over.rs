//! Another node should own the shard: what is under way ends, nothing new begins.

use super::{
    super::super::{SubmitError, effect::TakeOverReason},
    World, adjust, receive,
};

#[test]
fn a_resigned_owner_settles_what_is_under_way_and_then_lets_go() {
    let mut world = World::serving();
    let under_way = world.submit(1, receive(5));
    world.drain();
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
    let mut world = World::serving();
    let cut_off = world.submit(1, receive(5));
    world.drain();
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
