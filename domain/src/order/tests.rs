use proptest::prelude::*;

use super::*;
use crate::testing::{NOW, decide_twice, decides, fold, given, sample::checkout, usd, uuid};

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

fn reserved() -> Event {
    Event::StockReserved {}
}

#[test]
fn an_order_is_placed_once_from_one_cart() {
    let other = Checkout { method_token: "tok_other".into(), ..checkout() };
    let ended = vec![placed(), rejected()];
    decides::<Order>([
        ("first", vec![], place(1, checkout()), Ok(vec![placed()])),
        ("again", vec![placed()], place(1, checkout()), Ok(vec![])),
        ("after its end", ended, place(1, checkout()), Ok(vec![])),
        ("something else", vec![placed()], place(1, other), Err(Rejection::Exists)),
        ("another cart", vec![placed()], place(2, checkout()), Err(Rejection::Exists)),
    ]);
}

#[test]
fn stock_reserved_is_recorded_once() {
    let record = || Command::RecordStockReserved;
    let done = vec![placed(), reserved(), confirmed()];
    decides::<Order>([
        ("first", vec![placed()], record(), Ok(vec![reserved()])),
        ("again", vec![placed(), reserved()], record(), Ok(vec![])),
        ("confirmed", done, record(), Ok(vec![])),
        ("rejected", vec![placed(), rejected()], record(), Err(Rejection::Rejected)),
    ]);
}

#[test]
fn an_order_whose_stock_is_reserved_is_confirmed_once_for_its_total() {
    let held = || vec![placed(), reserved()];
    let done = || vec![placed(), reserved(), confirmed()];
    let ended = vec![placed(), reserved(), rejected()];
    let confirm_for = |paid| confirm(1, usd(paid));
    decides::<Order>([
        ("first", held(), confirm_for(250), Ok(vec![confirmed()])),
        ("again", done(), confirm_for(250), Ok(vec![])),
        ("another payment", done(), confirm(2, usd(250)), Err(Rejection::Confirmed)),
        ("another amount", held(), confirm_for(249), Err(Rejection::PaidDiffers)),
        ("no stock", vec![placed()], confirm_for(250), Err(Rejection::StockNotReserved)),
        ("rejected", ended, confirm_for(250), Err(Rejection::Rejected)),
    ]);
}

#[test]
fn an_order_that_is_not_confirmed_is_rejected_once() {
    let done = vec![placed(), reserved(), confirmed()];
    decides::<Order>([
        ("first", vec![placed()], reject(), Ok(vec![rejected()])),
        ("again", vec![placed(), rejected()], reject(), Ok(vec![])),
        ("confirmed", done, reject(), Err(Rejection::Confirmed)),
    ]);
}

#[test]
fn commands_on_an_order_that_was_never_placed_are_rejected() {
    for command in [Command::RecordStockReserved, confirm(1, usd(250)), reject()] {
        given::<Order>([]).when(command, NOW).then_rejected(Rejection::NotFound);
    }
}

#[test]
fn an_order_remembers_what_paid_for_it() {
    let order: Order = fold([placed(), reserved(), confirmed()]);
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
