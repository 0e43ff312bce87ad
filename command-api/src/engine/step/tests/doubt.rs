//! Whatever is not certain ends the epoch, and no command is lost or applied twice by it.

use infra::log::Ticket;

use super::{
    super::super::{
        SubmitError,
        effect::{Input, TakeOverReason},
    },
    World, adjust, failed, receive,
};

#[test]
fn a_record_that_landed_but_was_reported_lost_is_answered_from_the_log() {
    let (mut world, request) = World::under_way();
    world.deliver_unreported();
    assert_eq!(world.take_overs, [TakeOverReason::DeliveryFailed]);
    assert_eq!(world.reply(request), None);
    world.claim();
    assert_eq!(world.committed_at(request), 1);
    assert!(!world.reply(request).unwrap().as_ref().unwrap().replayed, "nobody else decided it");
    assert_eq!(world.audit(), [1]);
}

#[test]
fn a_lost_record_is_decided_again_and_never_counts_if_it_lands_after_the_next_claim() {
    let (mut world, request) = World::under_way();
    let ghost = world.lose();
    world.claim();
    world.land(ghost);
    world.deliver_all();
    assert_eq!(world.committed_at(request), 1);
    assert_eq!(world.audit(), [1]);
    let next = world.submit(2, adjust(-5));
    world.deliver_all();
    assert_eq!(world.committed_at(next), 2);
}

#[test]
fn a_failure_in_the_middle_voids_what_landed_behind_it() {
    let mut world = World::serving();
    let (first, second) = (world.submit(1, receive(5)), world.submit(2, adjust(-5)));
    world.drain();
    let (_, lost) = world.wire.pop_front().unwrap();
    let (landed, ticket) = world.wire.pop_front().unwrap();
    let offset = world.land(landed);
    // Its success is reported before the failure of the one before it.
    world.report(ticket, Ok(Some(offset)));
    world.report(lost, Err(failed()));
    assert_eq!(world.take_overs, [TakeOverReason::DeliveryFailed]);
    world.claim();
    world.deliver_all();
    assert_eq!((world.committed_at(first), world.committed_at(second)), (1, 2));
    assert_eq!(world.audit(), [1, 2]);
}

#[test]
fn a_success_without_an_offset_or_with_one_that_was_read_already_is_a_doubt() {
    for offset in [None, Some(0)] {
        let (mut world, request) = World::under_way();
        let (record, ticket) = world.wire.pop_front().unwrap();
        world.land(record);
        world.report(ticket, Ok(offset));
        assert_eq!(world.take_overs, [TakeOverReason::OffsetUnknown], "{offset:?}");
        world.claim();
        assert_eq!(world.committed_at(request), 1, "{offset:?}");
    }
}

#[test]
fn foreign_records_are_read_before_the_own_one_counts() {
    let (mut world, request) = World::under_way();
    world.foreign_claim();
    world.deliver();
    assert_eq!(world.take_overs, [TakeOverReason::Deposed]);
    assert_eq!(world.reply(request), None, "the newer claim came first");
    world.claim();
    world.deliver_all();
    assert_eq!(world.committed_at(request), 1);
    assert_eq!(world.audit(), [1]);
}

#[test]
fn a_stale_record_in_a_hole_changes_nothing() {
    let (mut world, _) = World::under_way();
    let ghost = world.lose();
    world.claim();
    let next = world.submit(2, receive(2));
    world.drain();
    world.land(ghost);
    world.deliver_all();
    assert_eq!(world.committed_at(next), 2);
    assert_eq!(world.take_overs.len(), 1, "no further take-over");
    assert_eq!(world.audit(), [1, 2]);
}

#[test]
fn a_claim_without_a_report_is_sent_again() {
    let mut world = World::serving();
    world.step(Input::AppendFailed);
    world.send_claim();
    world.report(Ticket::CLAIM, Ok(None));
    assert_eq!(world.take_overs, [TakeOverReason::AppendFailed, TakeOverReason::ClaimUnknown]);
    world.claim();
    assert!(world.machine.is_serving());
}

#[test]
fn reports_of_a_dropped_epoch_mean_nothing() {
    let (mut world, request) = World::under_way();
    world.lose();
    world.claim();
    let stale = Ticket { epoch: 0, seq: 1, index: 0 };
    world.report(stale, Ok(Some(1)));
    world.deliver_all();
    assert_eq!(world.committed_at(request), 1);
}

#[test]
fn what_was_asked_before_the_replay_is_held_against_what_it_finds() {
    let mut world = World::serving();
    world.submit_as(1, receive(5), None, b"one");
    world.deliver_all();
    let (mut retrying, mut reusing) = (World::after(&world), World::after(&world));
    let retry = retrying.submit_as(1, receive(5), None, b"one");
    let reuse = reusing.submit_as(1, receive(6), None, b"another");
    retrying.claim();
    reusing.claim();
    assert!(retrying.reply(retry).unwrap().as_ref().unwrap().replayed);
    assert_eq!(reusing.reply(reuse), Some(&Err(SubmitError::KeyReused)));
}

/// The outcome is who decided it first's, and only its own answer is no replay.
#[test]
fn what_was_tried_here_and_decided_elsewhere_is_a_replay() {
    let (mut world, request) = World::under_way();
    let mut other = World::after(&world);
    let elsewhere = other.submit(1, receive(5));
    other.claim();
    other.deliver_all();
    world.partition = other.partition.clone();
    world.deliver();
    world.claim();
    assert!(world.reply(request).unwrap().as_ref().unwrap().replayed);
    assert!(!other.reply(elsewhere).unwrap().as_ref().unwrap().replayed);
    assert_eq!(world.audit(), [1]);
}

#[test]
fn a_claim_that_is_never_reported_is_given_up() {
    let mut world = World::after(&World::serving());
    world.send_claim();
    world.is_given_up();
}

#[test]
fn a_writer_that_never_reports_is_given_up() {
    let (mut world, request) = World::under_way();
    world.is_given_up();
    world.claim();
    world.deliver_all();
    assert_eq!(world.committed_at(request), 1);
}

#[test]
fn a_replay_whose_records_do_not_come_is_given_up() {
    let mut next = World::after(&World::serving());
    next.reading_hangs = true;
    next.claim();
    next.is_given_up();
    next.reading_hangs = false;
    next.claim();
    assert!(next.machine.is_serving());
}

#[test]
fn a_hole_whose_records_do_not_come_is_given_up() {
    let mut world = World::serving();
    let request = world.submit(1, receive(1));
    world.drain();
    world.foreign_claim();
    world.reading_hangs = true;
    world.deliver();
    world.is_given_up();
    world.reading_hangs = false;
    world.claim();
    world.deliver_all();
    assert_eq!(world.committed_at(request), 1);
}
