use proptest::prelude::*;
use serde_json::json;

use super::{state::RETURNED_MAX, *};
use crate::testing::{NOW, decide_twice, decides, event, fold, given, uuid};

fn reservation(n: u128) -> ReservationId {
    ReservationId::new(uuid(n))
}

fn order(n: u128) -> OrderId {
    OrderId::new(uuid(n))
}

fn received(quantity: u32) -> Event {
    event::<Stock>("received", json!({ "quantity": quantity }))
}

fn reserved(n: u128, quantity: u32) -> Event {
    reserved_until(n, quantity, NOW.plus(HOLD))
}

fn reserved_until(n: u128, quantity: u32, expires_at: Timestamp) -> Event {
    let (reservation_id, order_id) = (reservation(n), order(n));
    let data = json!({
        "reservation_id": reservation_id, "order_id": order_id, "quantity": quantity,
        "expires_at": expires_at,
    });
    event::<Stock>("reserved", data)
}

fn ended(kind: &str, n: u128, quantity: u32) -> Event {
    let reservation_id = reservation(n);
    event::<Stock>(kind, json!({ "reservation_id": reservation_id, "quantity": quantity }))
}

fn released(n: u128, quantity: u32) -> Event {
    let (reservation_id, reason) = (reservation(n), "order_rejected");
    let data = json!({ "reservation_id": reservation_id, "quantity": quantity, "reason": reason });
    event::<Stock>("released", data)
}

fn committed(n: u128, quantity: u32) -> Event {
    ended("committed", n, quantity)
}

fn returned(n: u128, quantity: u32) -> Event {
    ended("returned", n, quantity)
}

fn expired(n: u128, quantity: u32) -> Event {
    ended("expired", n, quantity)
}

fn adjusted(delta: i64) -> Event {
    event::<Stock>("adjusted", json!({ "delta": delta, "reason": "count" }))
}

fn adjust(delta: i64) -> Command {
    Command::adjust(delta, "count".into())
}

fn reserve(n: u128, quantity: u32) -> Command {
    Command::reserve(reservation(n), order(n), quantity)
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
fn what_comes_in_is_counted_up_to_a_limit() {
    let receive = Command::receive;
    decides::<Stock>([
        ("it adds", vec![received(5)], receive(2), Ok(vec![received(2)])),
        ("nothing comes in", vec![], receive(0), Err(Rejection::QuantityZero)),
        ("too much", vec![received(ON_HAND_MAX)], receive(1), Err(Rejection::LimitReached)),
    ]);
}

#[test]
fn what_is_on_hand_is_corrected_down_to_what_is_reserved() {
    let held = || vec![received(5), reserved(1, 2)];
    let insufficient = |available| Err(Rejection::Insufficient { available });
    decides::<Stock>([
        ("down to what is reserved", held(), adjust(-3), Ok(vec![adjusted(-3)])),
        ("below that", held(), adjust(-4), insufficient(3)),
        ("by the smallest number", vec![received(5)], adjust(i64::MIN), insufficient(5)),
        ("beyond the limit", vec![], adjust(i64::MAX), Err(Rejection::LimitReached)),
        ("by nothing", vec![], adjust(0), Ok(vec![])),
    ]);
}

#[test]
fn units_that_are_there_are_held_for_one_reservation() {
    let held = || vec![received(5), reserved(1, 2)];
    let sold = || vec![received(5), reserved(1, 2), committed(1, 2)];
    let gone = || vec![received(5), reserved(1, 2), released(1, 2)];
    let few = Rejection::Insufficient { available: 1 };
    let holds = (0..).take(HOLDS_MAX).map(|n| reserved(n, 1));
    let full = [received(ON_HAND_MAX)].into_iter().chain(holds).collect();
    decides::<Stock>([
        ("all there is", vec![received(5)], reserve(1, 5), Ok(vec![reserved(1, 5)])),
        ("again", held(), reserve(1, 2), Ok(vec![])),
        ("again, another quantity", held(), reserve(1, 3), Err(Rejection::HeldDifferently)),
        ("more than is left", vec![received(5), reserved(1, 4)], reserve(2, 2), Err(few)),
        ("nothing", vec![received(5)], reserve(1, 0), Err(Rejection::QuantityZero)),
        ("one hold too many", full, reserve(u128::MAX, 1), Err(Rejection::HoldsExhausted)),
        ("after its release", gone(), reserve(1, 2), Err(Rejection::ReservationGone)),
        ("after its commit", sold(), reserve(1, 2), Ok(vec![])),
    ]);
}

#[test]
fn what_is_held_is_given_back_or_sold() {
    let none = || vec![received(5)];
    let held = || vec![received(5), reserved(1, 2)];
    let sold = vec![received(5), reserved(1, 2), committed(1, 2)];
    let ran_out = vec![received(5), reserved(1, 2), expired(1, 2)];
    decides::<Stock>([
        ("released", held(), release(1), Ok(vec![released(1, 2)])),
        ("released, unknown", none(), release(1), Ok(vec![])),
        ("committed", held(), commit(1), Ok(vec![committed(1, 2)])),
        ("committed again", sold, commit(1), Ok(vec![])),
        ("committed, unknown", none(), commit(1), Err(Rejection::ReservationGone)),
        ("committed, expired", ran_out, commit(1), Err(Rejection::ReservationGone)),
    ]);
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
fn only_what_was_sold_is_put_back_and_only_where_there_is_room() {
    let held = |more: &[Event]| [vec![received(5), reserved(1, 2)], more.to_vec()].concat();
    let full = held(&[committed(1, 2), received(ON_HAND_MAX - 3)]);
    let differs = Err(Rejection::HeldDifferently);
    decides::<Stock>([
        ("it has not left the house", held(&[]), put_back(1, 2), Ok(vec![])),
        ("released", held(&[released(1, 2)]), put_back(1, 2), Ok(vec![])),
        ("expired", held(&[expired(1, 2)]), put_back(1, 2), Ok(vec![])),
        ("more than was sold", held(&[committed(1, 2)]), put_back(1, 3), differs),
        ("nothing", vec![], put_back(1, 0), Err(Rejection::QuantityZero)),
        ("no room", full, put_back(1, 2), Err(Rejection::LimitReached)),
    ]);
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
    let later = reserved_until(3, 1, NOW.plus(HOLD * 2));
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
        (0..20_u32).prop_map(Command::receive),
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
