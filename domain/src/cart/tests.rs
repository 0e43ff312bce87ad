mod checkout;
mod lines;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    aggregate::Decide,
    testing::{NOW, decide_twice, decides, event, fold, given, sample, sku, usd, uuid},
};

fn listing(price: i64) -> Listing {
    Listing { price: usd(price), ..sample::listing() }
}

fn new_line(code: &str, quantity: u32, price: i64) -> NewLine {
    NewLine { sku: sku(code), quantity, adjustments: vec![], listing: Some(listing(price)) }
}

fn line(code: &str, quantity: u32, price: i64) -> Line {
    Line {
        sku: sku(code),
        quantity,
        unit_price: usd(price),
        adjustments: vec![],
        total: usd(price * i64::from(quantity)),
        ..sample::line()
    }
}

fn adjustment(amount: i64) -> Adjustment {
    Adjustment { kind: "coupon".into(), amount: usd(amount), reason: "household coupon".into() }
}

/// Of a guest's cart.
fn expires_at() -> Timestamp {
    NOW.plus(GUEST_IDLE_MAX)
}

fn created(staff: bool, lines: impl Into<Vec<Line>>) -> Event {
    let expires_at = if staff { NOW.plus(IDLE_MAX) } else { expires_at() };
    let data = json!({
        "currency": "USD", "staff": staff, "lines": lines.into(), "expires_at": expires_at,
    });
    event::<Cart>("created", data)
}

fn create(staff: bool, lines: impl Into<Vec<NewLine>>) -> Command {
    Command::Create { currency: Currency::USD, staff, lines: lines.into() }
}

fn checked_out_as(checkout: &Checkout) -> Event {
    let order_id = OrderId::new(uuid(2));
    event::<Cart>("checked_out", json!({ "order_id": order_id, "checkout": checkout }))
}

fn checked_out() -> Event {
    checked_out_as(&sample::checkout())
}

fn abandoned() -> Event {
    event::<Cart>("abandoned", json!({}))
}

fn ended() -> Event {
    event::<Cart>("ended", json!({}))
}

#[test]
fn a_cart_is_created_once_with_its_lines_worked_out() {
    let empty = || create(false, []);
    let (asked, lines) = (new_line("A-1", 2, 129), vec![line("A-1", 2, 129)]);
    let two = create(false, [asked.clone(), new_line("B-1", 1, 50)]);
    let both = created(false, [lines.clone(), vec![line("B-1", 1, 50)]].concat());
    let sold = vec![created(false, []), checked_out()];
    decides::<Cart>([
        ("worked out", vec![], two, Ok(vec![both])),
        ("again", vec![created(false, lines)], create(false, [asked]), Ok(vec![])),
        ("of staff", vec![created(false, [])], create(true, []), Err(Rejection::Exists)),
        ("it went on", sold, empty(), Err(Rejection::Exists)),
    ]);
}

#[test]
fn a_cart_that_nobody_touches_is_abandoned() {
    let early = Timestamp::from_micros(expires_at().as_micros() - 1);
    let cart = || given::<Cart>([created(false, [])]);
    cart().when(Command::Expire, early).then([]);
    cart().when(Command::Expire, expires_at()).then([abandoned()]);
    assert_eq!(fold::<Cart>([created(false, [])]).next_deadline(), Some(expires_at()));
}

#[test]
fn a_change_defers_the_end() {
    let later = expires_at().plus(IDLE_MAX);
    let change = lines::put("line_added", &line("A-1", 1, 129), later);
    assert_eq!(fold::<Cart>([created(false, []), change]).next_deadline(), Some(later));
}

#[test]
fn a_cart_of_staff_waits_longer_than_a_guests() {
    let of_staff = fold::<Cart>([created(true, [])]).next_deadline();
    assert_eq!(of_staff, Some(NOW.plus(IDLE_MAX)));
    assert!(of_staff > fold::<Cart>([created(false, [])]).next_deadline());
}

#[test]
fn a_guests_cart_ends_a_while_after_it_became_an_order() {
    let history = || [created(false, [line("A-1", 1, 129)]), checked_out()];
    let ends_at = sample::checkout().placed_at.plus(GUEST_KEPT);
    assert_eq!(fold::<Cart>(history()).next_deadline(), Some(ends_at));
    let early = Timestamp::from_micros(ends_at.as_micros() - 1);
    given::<Cart>(history()).when(Command::Expire, early).then([]);
    given::<Cart>(history()).when(Command::Expire, ends_at).then([ended()]);
}

#[test]
fn a_cart_that_is_closed_never_expires() {
    for (staff, end) in [(true, checked_out()), (false, abandoned()), (false, ended())] {
        let history = [created(staff, [line("A-1", 1, 129)]), end];
        assert_eq!(fold::<Cart>(history.clone()).next_deadline(), None);
        given::<Cart>(history).when(Command::Expire, expires_at()).then([]);
    }
}

#[test]
fn a_closed_cart_does_not_change() {
    let change = |sku: Sku| Command::ChangeLine { sku, quantity: 2, adjustments: None };
    for (end, status) in [
        (checked_out(), Status::CheckedOut),
        (abandoned(), Status::Abandoned),
        (ended(), Status::Ended),
    ] {
        for command in [
            Command::AddLine { line: new_line("A-1", 1, 129) },
            change(sku("A-1")),
            Command::RemoveLine { sku: sku("A-1") },
            Command::ReplaceLines { lines: vec![] },
        ] {
            given::<Cart>([created(false, [line("A-1", 1, 129)]), end.clone()])
                .when(command, NOW)
                .then_rejected(Rejection::NotOpen { status });
        }
    }
}

#[test]
fn commands_on_a_cart_that_was_never_created_are_rejected() {
    for command in [
        Command::AddLine { line: new_line("A-1", 1, 129) },
        Command::ChangeLine { sku: sku("A-1"), quantity: 2, adjustments: None },
        Command::RemoveLine { sku: sku("A-1") },
        Command::ReplaceLines { lines: vec![] },
        checkout::web(),
    ] {
        given::<Cart>([]).when(command, NOW).then_rejected(Rejection::NotFound);
    }
}

fn any_line() -> impl Strategy<Value = NewLine> {
    let amounts = prop::collection::vec(prop_oneof![-50..5_i64, Just(i64::MIN)], 0..3);
    let price = prop_oneof![0..100_i64, Just(LINE_AMOUNT_MAX), Just(i64::MAX)];
    let quantity = prop_oneof![0..5_u32, Just(QUANTITY_MAX), Just(u32::MAX)];
    ("[AB]", quantity, price, amounts).prop_map(|(code, quantity, price, amounts)| NewLine {
        adjustments: amounts.into_iter().map(adjustment).collect(),
        ..new_line(&code, quantity, price)
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let lines = || prop::collection::vec(any_line(), 0..4);
    prop_oneof![
        (any::<bool>(), lines()).prop_map(|(staff, lines)| create(staff, lines)),
        any_line().prop_map(|line| Command::AddLine { line }),
        any_line().prop_map(|NewLine { sku, quantity, adjustments, .. }| Command::ChangeLine {
            sku,
            quantity,
            adjustments: Some(adjustments),
        }),
        Just(Command::RemoveLine { sku: sku("A") }),
        lines().prop_map(|lines| Command::ReplaceLines { lines }),
        Just(checkout::web()),
        Just(Command::Expire),
    ]
}

proptest! {
    #[test]
    fn totals_add_up_and_deciding_twice_yields_nothing(
        staff in any::<bool>(),
        commands in prop::collection::vec(any_command(), 0..30),
    ) {
        let steps = [create(staff, [])].into_iter().chain(commands).map(|command| (command, NOW));
        let is_entry = |command: &Command| matches!(command, Command::AddLine { .. });
        decide_twice::<Cart>(steps, is_entry, |cart| {
            let totals = cart.totals().unwrap();
            let sum = |amount: fn(&Line) -> i64| cart.lines().iter().map(amount).sum::<i64>();
            let subtotal = sum(|line| line.unit_price.amount * i64::from(line.quantity));
            let adjustments =
                sum(|line| line.adjustments.iter().map(|adjustment| adjustment.amount.amount).sum());
            assert_eq!(totals.subtotal, usd(subtotal));
            assert_eq!(totals.total, usd(subtotal + adjustments));
            assert_eq!(totals.discount, usd(-adjustments));
            assert!(cart.lines().iter().all(|line| line.total.amount >= 0));
        });
    }
}
