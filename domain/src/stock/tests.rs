use std::time::Duration;

use proptest::prelude::*;

use super::{state::RETURNED_MAX, *};
use crate::{
    aggregate::Decide,
    id::{OrderId, ReservationId},
    testing::{NOW, decide_twice, fold, given, uuid},
    timestamp::Timestamp,
};

fn reservation(n: u128) -> ReservationId {
    ReservationId::new(uuid(n))
}

fn order(n: u128) -> OrderId {
    OrderId::new(uuid(n))
}

fn received(quantity: u32) -> Event {
    Event::Received { quantity, reference: None }
}

fn reserved(n: u128, quantity: u32) -> Event {
    let (reservation_id, order_id) = (reservation(n), order(n));
    Event::Reserved { reservation_id, order_id, quantity, expires_at: NOW.plus(HOLD) }
}

fn released(n: u128, quantity: u32) -> Event {
    let reason = "order_rejected".into();
    Event::Released { reservation_id: reservation(n), quantity, reason }
}

fn committed(n: u128, quantity: u32) -> Event {
    Event::Committed { reservation_id: reservation(n), quantity }
}

fn returned(n: u128, quantity: u32) -> Event {
    Event::Returned { reservation_id: reservation(n), quantity }
}

fn expired(n: u128, quantity: u32) -> Event {
    Event::Expired { reservation_id: reservation(n), quantity }
}

fn adjusted(delta: i64) -> Event {
    Event::Adjusted { delta, reason: "count".into() }
}

fn receive(quantity: u32) -> Command {
    Command::Receive { quantity, reference: None }
}

fn adjust(delta: i64) -> Command {
    Command::Adjust { delta, reason: "count".into() }
}

fn reserve(n: u128, quantity: u32) -> Command {
    Command::Reserve { reservation_id: reservation(n), order_id: order(n), quantity }
}

fn release(n: u128) -> Command {
    Command::Release { reservation_id: reservation(n), reason: "order_rejected".into() }
}

fn commit(n: u128) -> Command {
    Command::Commit { reservation_id: reservation(n) }
}

fn put_back(n: u128, quantity: u32) -> Command {
    Command::Return { reservation_id: reservation(n), quantity }
}

/// As many reservations of others as no stock remembers.
fn busy_days() -> impl Iterator<Item = Event> {
    (1_000..1_100).flat_map(|n| [reserved(n, 1), released(n, 1)])
}

#[test]
fn receive_adds() {
    given::<Stock>([received(5)]).when(receive(2), NOW).then([received(2)]);
}

#[test]
fn receive_of_nothing_is_rejected() {
    given::<Stock>([]).when(receive(0), NOW).then_rejected(Rejection::QuantityZero);
}

#[test]
fn receive_beyond_the_limit_is_rejected() {
    given::<Stock>([received(ON_HAND_MAX)])
        .when(receive(1), NOW)
        .then_rejected(Rejection::LimitReached);
}

#[test]
fn adjust_goes_down_to_what_is_reserved() {
    given::<Stock>([received(5), reserved(1, 2)]).when(adjust(-3), NOW).then([adjusted(-3)]);
}

#[test]
fn adjust_below_what_is_reserved_is_rejected() {
    given::<Stock>([received(5), reserved(1, 2)])
        .when(adjust(-4), NOW)
        .then_rejected(Rejection::Insufficient { available: 3 });
}

#[test]
fn adjust_by_the_smallest_number_is_rejected() {
    given::<Stock>([received(5)])
        .when(adjust(i64::MIN), NOW)
        .then_rejected(Rejection::Insufficient { available: 5 });
}

#[test]
fn adjust_beyond_the_limit_is_rejected() {
    given::<Stock>([]).when(adjust(i64::MAX), NOW).then_rejected(Rejection::LimitReached);
}

#[test]
fn adjust_by_zero_records_nothing() {
    given::<Stock>([]).when(adjust(0), NOW).then([]);
}

#[test]
fn reserve_holds_for_a_while() {
    given::<Stock>([received(5)]).when(reserve(1, 5), NOW).then([reserved(1, 5)]);
}

#[test]
fn reserve_again_records_nothing() {
    given::<Stock>([received(5), reserved(1, 2)]).when(reserve(1, 2), NOW).then([]);
}

#[test]
fn reserve_again_with_another_quantity_is_rejected() {
    given::<Stock>([received(5), reserved(1, 2)])
        .when(reserve(1, 3), NOW)
        .then_rejected(Rejection::HeldDifferently);
}

#[test]
fn reserve_beyond_available_is_rejected() {
    given::<Stock>([received(5), reserved(1, 4)])
        .when(reserve(2, 2), NOW)
        .then_rejected(Rejection::Insufficient { available: 1 });
}

#[test]
fn reserve_of_nothing_is_rejected() {
    given::<Stock>([received(5)]).when(reserve(1, 0), NOW).then_rejected(Rejection::QuantityZero);
}

#[test]
fn reserve_beyond_the_number_of_holds_is_rejected() {
    let holds = (0..).take(HOLDS_MAX).map(|n| reserved(n, 1));
    given::<Stock>([received(ON_HAND_MAX)].into_iter().chain(holds))
        .when(reserve(u128::MAX, 1), NOW)
        .then_rejected(Rejection::HoldsExhausted);
}

#[test]
fn reserve_that_comes_after_its_release_is_rejected() {
    given::<Stock>([received(5), reserved(1, 2), released(1, 2)])
        .when(reserve(1, 2), NOW)
        .then_rejected(Rejection::ReservationGone);
}

#[test]
fn reserve_that_comes_after_its_commit_records_nothing() {
    given::<Stock>([received(5), reserved(1, 2), committed(1, 2)])
        .when(reserve(1, 2), NOW)
        .then([]);
}

#[test]
fn release_gives_back_what_is_held() {
    given::<Stock>([received(5), reserved(1, 2)]).when(release(1), NOW).then([released(1, 2)]);
}

#[test]
fn release_of_an_unknown_reservation_records_nothing() {
    given::<Stock>([received(5)]).when(release(1), NOW).then([]);
}

#[test]
fn commit_sells_what_is_held() {
    given::<Stock>([received(5), reserved(1, 2)]).when(commit(1), NOW).then([committed(1, 2)]);
}

#[test]
fn commit_again_records_nothing() {
    given::<Stock>([received(5), reserved(1, 2), committed(1, 2)]).when(commit(1), NOW).then([]);
}

#[test]
fn commit_of_an_unknown_reservation_is_rejected() {
    given::<Stock>([received(5)]).when(commit(1), NOW).then_rejected(Rejection::ReservationGone);
}

#[test]
fn commit_of_an_expired_reservation_is_rejected() {
    given::<Stock>([received(5), reserved(1, 2), expired(1, 2)])
        .when(commit(1), NOW)
        .then_rejected(Rejection::ReservationGone);
}

#[test]
fn commit_is_possible_until_the_expiry_is_recorded() {
    given::<Stock>([received(5), reserved(1, 2)])
        .when(commit(1), NOW.plus(HOLD * 2))
        .then([committed(1, 2)]);
}

#[test]
fn what_was_sold_is_put_back_once_however_late_somebody_asks_again() {
    let sold = [received(5), reserved(1, 2), committed(1, 2)];
    given::<Stock>(sold.clone()).when(put_back(1, 2), NOW).then([returned(1, 2)]);
    let back = sold.into_iter().chain([returned(1, 2)]);
    given::<Stock>(back.clone()).when(put_back(1, 2), NOW).then([]);
    let later: Stock = fold(back.chain(busy_days()));
    assert_eq!((later.on_hand(), later.ended(reservation(1))), (5, Some(End::Returned)));
    assert_eq!(later.decide(&put_back(1, 2), NOW), Ok(vec![]));
    assert_eq!(later.decide(&commit(1), NOW), Err(Rejection::ReservationGone));
    assert_eq!(later.decide(&reserve(1, 2), NOW), Err(Rejection::ReservationGone));
}

#[test]
fn a_sale_that_a_busy_stock_has_forgotten_is_put_back_all_the_same() {
    let sold = [received(5), reserved(1, 2), committed(1, 2)];
    given::<Stock>(sold.into_iter().chain(busy_days()))
        .when(put_back(1, 2), NOW)
        .then([returned(1, 2)]);
}

#[test]
fn what_has_not_left_the_house_is_not_put_back() {
    let held = [received(5), reserved(1, 2)];
    given::<Stock>(held.clone()).when(put_back(1, 2), NOW).then([]);
    for ended in [released(1, 2), expired(1, 2)] {
        let history = held.iter().cloned().chain([ended]);
        given::<Stock>(history).when(put_back(1, 2), NOW).then([]);
    }
}

#[test]
fn no_more_is_put_back_than_was_sold_nor_than_there_is_room_for() {
    let sold = || [received(5), reserved(1, 2), committed(1, 2)];
    given::<Stock>(sold()).when(put_back(1, 3), NOW).then_rejected(Rejection::HeldDifferently);
    given::<Stock>([]).when(put_back(1, 0), NOW).then_rejected(Rejection::QuantityZero);
    given::<Stock>(sold().into_iter().chain([received(ON_HAND_MAX - 3)]))
        .when(put_back(1, 2), NOW)
        .then_rejected(Rejection::LimitReached);
}

#[test]
fn a_stock_remembers_a_bounded_number_of_returns() {
    let count = u128::try_from(RETURNED_MAX).unwrap();
    let stock: Stock = fold((0..=count).map(|n| returned(n, 1)));
    assert_eq!(stock.ended(reservation(0)), None);
    assert_eq!(stock.ended(reservation(1)), Some(End::Returned));
}

#[test]
fn expire_ends_all_holds_whose_time_has_come() {
    let later = Event::Reserved {
        reservation_id: reservation(3),
        order_id: order(3),
        quantity: 1,
        expires_at: NOW.plus(HOLD * 2),
    };
    given::<Stock>([received(5), reserved(1, 2), reserved(2, 1), later])
        .when(Command::Expire, NOW.plus(HOLD))
        .then([expired(1, 2), expired(2, 1)]);
}

#[test]
fn expire_before_the_time_records_nothing() {
    let early = Timestamp::from_micros(NOW.plus(HOLD).as_micros() - 1);
    given::<Stock>([received(5), reserved(1, 2)]).when(Command::Expire, early).then([]);
}

#[test]
fn the_next_deadline_is_that_of_the_earliest_hold() {
    let none: Stock = fold([received(5)]);
    assert_eq!(none.next_deadline(), None);
    let held: Stock = fold([received(5), reserved(1, 2)]);
    assert_eq!(held.next_deadline(), Some(NOW.plus(HOLD)));
    let ended: Stock = fold([received(5), reserved(1, 2), expired(1, 2)]);
    assert_eq!(ended.next_deadline(), None);
}

#[test]
fn ended_reservations_are_forgotten_in_their_order() {
    let ended = (0..100).flat_map(|n| [reserved(n, 1), released(n, 1)]);
    let stock: Stock = fold([received(5)].into_iter().chain(ended));
    assert_eq!(stock.ended(reservation(99)), Some(End::Released));
    assert_eq!(stock.ended(reservation(68)), Some(End::Released));
    assert_eq!(stock.ended(reservation(67)), None);
}

fn commands() -> impl Strategy<Value = Command> {
    let id = 0..6_u128;
    prop_oneof![
        (0..20_u32).prop_map(receive),
        (-20..20_i64).prop_map(adjust),
        (id.clone(), 0..8_u32).prop_map(|(n, quantity)| reserve(n, quantity)),
        id.clone().prop_map(release),
        id.clone().prop_map(commit),
        (id, 0..8_u32).prop_map(|(n, quantity)| put_back(n, quantity)),
        Just(Command::Expire),
    ]
}

fn is_entry(command: &Command) -> bool {
    matches!(command, Command::Receive { .. } | Command::Adjust { .. })
}

proptest! {
    #[test]
    fn reserved_never_exceeds_what_is_on_hand(
        steps in prop::collection::vec((commands(), 0..1_000_u64), 0..80),
    ) {
        let steps = steps.into_iter().scan(NOW, |now, (command, seconds)| {
            *now = now.plus(Duration::from_secs(seconds));
            Some((command, *now))
        });
        decide_twice::<Stock>(steps, is_entry, |stock| {
            let held = stock.holds().values().map(|hold| hold.quantity).sum::<u32>();
            assert_eq!(stock.reserved(), held);
            assert!(stock.reserved() <= stock.on_hand());
            assert_eq!(stock.available(), stock.on_hand() - stock.reserved());
        });
    }
}
