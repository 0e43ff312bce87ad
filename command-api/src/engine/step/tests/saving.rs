//! What the store is told, and what the next process makes of it.

use std::time::Duration;

use domain::{State, stock};

use super::{super::super::SubmitError, World, adjust, receive, reserve_as, stream};

/// Takes a batch and writes it.
fn save(world: &mut World) {
    world.save();
    world.save();
}

#[test]
fn only_what_the_log_has_confirmed_is_saved() {
    let mut world = World::serving();
    let first = world.submit(1, receive(5));
    world.deliver_all();
    world.submit(2, adjust(-5));
    world.drain();
    save(&mut world);
    // The adjustment never lands.
    world.crash();
    world.claim();
    let found = world.machine.snapshot(&stream()).unwrap();
    assert_eq!(found.revision, world.committed_at(first));
    assert!(world.machine.take_unsaved().is_none(), "nothing is new");
}

#[test]
fn a_checkpoint_never_lies_within_a_commit() {
    let mut world = World::serving();
    world.submit(1, receive(5));
    world.submit(2, reserve_as(1, 1));
    world.submit(3, reserve_as(2, 1));
    world.deliver_all();
    world.pass(Duration::from_hours(1));
    assert_eq!(world.wire.len(), 2, "both reservations expire in one commit");
    world.deliver();
    save(&mut world);
    let (second, _) = world.wire.pop_front().unwrap();
    world.land(second);
    world.crash();
    world.claim();
    let State::Stock(stock) = &world.machine.snapshot(&stream()).unwrap().state else { panic!() };
    assert_eq!(stock.reserved(), 0);
}

#[test]
fn an_answer_survives_the_process_that_gave_it() {
    let mut world = World::serving();
    let (yes, no) = (world.submit(1, receive(5)), world.submit(2, adjust(-6)));
    world.deliver_all();
    world.pass(Duration::from_millis(10));
    world.deliver_all();
    save(&mut world);
    world.crash();
    world.claim();
    for (key, command, first) in [(1, receive(5), yes), (2, adjust(-6), no)] {
        let again = world.submit(key, command);
        let first = world.reply(first).unwrap().as_ref().unwrap();
        let again = world.reply(again).unwrap().as_ref().unwrap();
        assert_eq!((&again.outcome, &again.position), (&first.outcome, &first.position));
        assert!(again.replayed);
    }
}

#[test]
fn new_commands_are_turned_away_while_too_much_is_unsaved() {
    let mut world = World::serving();
    let mut key = 0;
    while !world.machine.is_saturated() {
        key += 1;
        world.submit(key, stock::Command::adjust(1, "x".repeat(1 << 20)));
        world.deliver_all();
        assert!(key < 100, "it is never too much");
    }
    let refused = world.submit(1_000, receive(1));
    assert_eq!(world.reply(refused), Some(&Err(SubmitError::Busy)));
    let known = world.submit(1, receive(1));
    assert!(world.reply(known).unwrap().is_ok(), "what is known is answered");
    save(&mut world);
    let taken = world.submit(1_001, receive(1));
    world.deliver_all();
    assert!(world.committed_at(taken) > 1);
}
