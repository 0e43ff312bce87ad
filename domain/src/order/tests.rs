use proptest::prelude::*;

use super::*;
use crate::{
    cart::Checkout,
    id::{CartId, PaymentId},
    money::Money,
    testing::{NOW, decide_twice, fold, given, sample::checkout, usd, uuid},
};

fn cart(n: u128) -> CartId {
    CartId::new(uuid(n))
}

fn payment(n: u128) -> PaymentId {
    PaymentId::new(uuid(n))
}

fn placed() -> Event {
    Event::Placed { cart_id: cart(1), checkout: checkout() }
}

fn confirmed() -> Event {
    Event::Confirmed { payment_id: payment(1), paid: usd(250) }
}

fn rejected() -> Event {
    Event::Rejected { reasons: vec![reason()] }
}

fn reason() -> Reason {
    Reason { sku: None, code: "payment.declined".into(), detail: "declined".into() }
}

fn place(n: u128, checkout: Checkout) -> Command {
    Command::Place { cart_id: cart(n), checkout }
}

fn confirm(n: u128, paid: Money) -> Command {
    Command::Confirm { payment_id: payment(n), paid }
}

fn reject() -> Command {
    Command::Reject { reasons: vec![reason()] }
}

#[test]
fn place_is_recorded_once() {
    given::<Order>([]).when(place(1, checkout()), NOW).then([placed()]);
    given::<Order>([placed()]).when(place(1, checkout()), NOW).then([]);
    given::<Order>([placed(), rejected()]).when(place(1, checkout()), NOW).then([]);
}

#[test]
fn place_from_another_cart_or_of_something_else_is_rejected() {
    let other = Checkout { method_token: "tok_other".into(), ..checkout() };
    given::<Order>([placed()]).when(place(1, other), NOW).then_rejected(Rejection::Exists);
    given::<Order>([placed()]).when(place(2, checkout()), NOW).then_rejected(Rejection::Exists);
}

#[test]
fn stock_reserved_is_recorded_once() {
    let reserved = || Event::StockReserved {};
    given::<Order>([placed()]).when(Command::RecordStockReserved, NOW).then([reserved()]);
    given::<Order>([placed(), reserved()]).when(Command::RecordStockReserved, NOW).then([]);
    given::<Order>([placed(), reserved(), confirmed()])
        .when(Command::RecordStockReserved, NOW)
        .then([]);
}

#[test]
fn stock_reserved_after_a_rejection_is_rejected() {
    given::<Order>([placed(), rejected()])
        .when(Command::RecordStockReserved, NOW)
        .then_rejected(Rejection::Rejected);
}

#[test]
fn confirm_needs_reserved_stock() {
    given::<Order>([placed()])
        .when(confirm(1, usd(250)), NOW)
        .then_rejected(Rejection::StockNotReserved);
}

#[test]
fn confirm_is_recorded_once() {
    let reserved = [placed(), Event::StockReserved {}];
    let done = [placed(), Event::StockReserved {}, confirmed()];
    given::<Order>(reserved).when(confirm(1, usd(250)), NOW).then([confirmed()]);
    given::<Order>(done.clone()).when(confirm(1, usd(250)), NOW).then([]);
    given::<Order>(done).when(confirm(2, usd(250)), NOW).then_rejected(Rejection::Confirmed);
}

#[test]
fn confirm_takes_the_total_and_nothing_else() {
    given::<Order>([placed(), Event::StockReserved {}])
        .when(confirm(1, usd(249)), NOW)
        .then_rejected(Rejection::PaidDiffers);
}

#[test]
fn confirm_after_a_rejection_is_rejected() {
    given::<Order>([placed(), Event::StockReserved {}, rejected()])
        .when(confirm(1, usd(250)), NOW)
        .then_rejected(Rejection::Rejected);
}

#[test]
fn reject_is_recorded_once() {
    given::<Order>([placed()]).when(reject(), NOW).then([rejected()]);
    given::<Order>([placed(), rejected()]).when(reject(), NOW).then([]);
}

#[test]
fn reject_after_the_confirmation_is_rejected() {
    given::<Order>([placed(), Event::StockReserved {}, confirmed()])
        .when(reject(), NOW)
        .then_rejected(Rejection::Confirmed);
}

#[test]
fn commands_on_an_order_that_was_never_placed_are_rejected() {
    for command in [Command::RecordStockReserved, confirm(1, usd(250)), reject()] {
        given::<Order>([]).when(command, NOW).then_rejected(Rejection::NotFound);
    }
}

#[test]
fn an_order_remembers_what_paid_for_it() {
    let order: Order = fold([placed(), Event::StockReserved {}, confirmed()]);
    assert_eq!((order.status, order.payment_id), (Status::Confirmed, Some(payment(1))));
}

proptest! {
    #[test]
    fn deciding_twice_yields_nothing(
        commands in prop::collection::vec(prop_oneof![
            (1..3_u128).prop_map(|n| place(n, checkout())),
            Just(Command::RecordStockReserved),
            (1..3_u128, 249..251_i64).prop_map(|(n, paid)| confirm(n, usd(paid))),
            Just(reject()),
        ], 0..12),
    ) {
        let steps = commands.into_iter().map(|command| (command, NOW));
        decide_twice::<Order>(steps, |_| false, |_| {});
    }
}
