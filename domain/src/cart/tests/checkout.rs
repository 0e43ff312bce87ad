//! When a cart becomes an order, and at which prices.

use std::time::Duration;

use super::*;
use crate::payment::CASH;

fn order(n: u128) -> OrderId {
    OrderId::new(uuid(n))
}

fn terms() -> Terms {
    let checkout = sample::checkout();
    Terms {
        channel: Channel::Web,
        occurred_at: None,
        method_token: checkout.method_token,
        customer_reference: checkout.customer_reference,
        email: checkout.email,
        shipping_address: checkout.shipping_address,
        accept_price_changes: false,
        order_exists: false,
        listings: ["A", "B", "A-1"].map(|code| (sku(code), Some(listing(129)))).into(),
    }
}

fn till() -> Terms {
    Terms {
        channel: Channel::Pos,
        method_token: CASH.into(),
        email: None,
        shipping_address: None,
        ..terms()
    }
}

fn now_at(price: i64) -> Vec<(Sku, Option<Listing>)> {
    vec![(sku("A-1"), Some(listing(price)))]
}

fn check_out(terms: Terms) -> Command {
    Command::CheckOut { order_id: order(2), terms }
}

/// A checkout that a cart with lines of SKU A, B or A-1 can pass.
pub(super) fn web() -> Command {
    check_out(terms())
}

fn with_line(staff: bool, line: Line) -> Event {
    created(staff, [line])
}

/// A staff cart with the sample's line: two at 129 with 8 off.
fn rung_up() -> Event {
    with_line(true, sample::line())
}

fn shown_at(price: i64) -> Event {
    with_line(false, line("A-1", 2, price))
}

fn at_price(price: i64) -> Checkout {
    let total = usd(2 * price);
    Checkout {
        lines: vec![line("A-1", 2, price)],
        totals: Totals { subtotal: total, discount: usd(0), total },
        ..sample::checkout()
    }
}

fn at_till(placed_at: Timestamp) -> Checkout {
    Checkout {
        channel: Channel::Pos,
        method_token: CASH.into(),
        email: None,
        shipping_address: None,
        placed_at,
        ..sample::checkout()
    }
}

#[track_caller]
fn refuses(staff: bool, terms: Terms, expected: Rejection) {
    given::<Cart>([with_line(staff, line("A-1", 2, 129))])
        .when(check_out(terms), NOW)
        .then_rejected(expected);
}

#[test]
fn check_out_records_what_was_agreed() {
    given::<Cart>([rung_up()]).when(web(), NOW).then([checked_out_as(&sample::checkout())]);
}

#[test]
fn check_out_of_a_code_that_has_gone_to_another_product_is_rejected() {
    let other = Listing { product_id: crate::id::ProductId::new(uuid(6)), ..listing(129) };
    for staff in [false, true] {
        let terms = if staff { till() } else { terms() };
        let listings = vec![(sku("A-1"), Some(other.clone()))];
        let expected = Rejection::ProductReplaced(sku("A-1"));
        refuses(staff, Terms { listings, accept_price_changes: true, ..terms }, expected);
    }
}

#[test]
fn check_out_again_as_the_same_order_records_nothing() {
    given::<Cart>([shown_at(129), checked_out_as(&at_price(129))]).when(web(), NOW).then([]);
}

#[test]
fn check_out_again_on_other_terms_is_rejected() {
    let history = [shown_at(129), checked_out_as(&at_price(129))];
    let rejection = || Rejection::NotOpen { status: Status::CheckedOut };
    let other = Terms { method_token: "tok_other".into(), ..terms() };
    given::<Cart>(history.clone()).when(check_out(other), NOW).then_rejected(rejection());
    let other = Terms { email: Some("eve@example.com".into()), ..terms() };
    given::<Cart>(history).when(check_out(other), NOW).then_rejected(rejection());
}

#[test]
fn check_out_again_as_another_order_is_rejected() {
    given::<Cart>([shown_at(129), checked_out_as(&at_price(129))])
        .when(Command::CheckOut { order_id: order(3), terms: terms() }, NOW)
        .then_rejected(Rejection::NotOpen { status: Status::CheckedOut });
}

#[test]
fn check_out_as_the_order_of_another_cart_is_rejected() {
    refuses(false, Terms { order_exists: true, ..terms() }, Rejection::OrderExists);
}

fn refuse(n: u128) -> Command {
    refuse_of(n, at_price(129))
}

fn refuse_of(n: u128, checkout: Checkout) -> Command {
    let (code, detail) = ("order.exists".into(), "taken".into());
    Command::RefuseCheckout { order_id: order(n), checkout: Box::new(checkout), code, detail }
}

fn refusal(n: u128) -> Event {
    let data = json!({
        "order_id": order(n), "code": "order.exists", "detail": "taken",
        "expires_at": expires_at(),
    });
    event::<Cart>("checkout_refused", data)
}

#[test]
fn a_cart_whose_order_cannot_be_placed_is_open_again_and_says_why() {
    let history = [shown_at(129), checked_out_as(&at_price(129))];
    given::<Cart>(history.clone()).when(refuse(2), NOW).then([refusal(2)]);
    let cart: Cart = fold(history.into_iter().chain([refusal(2)]));
    assert_eq!((cart.status, cart.order_id, cart.checkout()), (Status::Open, None, None));
    assert_eq!(cart.refusal.as_ref().map(|refusal| refusal.code.as_str()), Some("order.exists"));
    assert_eq!(cart.next_deadline(), Some(expires_at()));
    assert_eq!(cart.lines(), [line("A-1", 2, 129)]);
}

#[test]
fn a_refusal_that_comes_late_changes_nothing() {
    given::<Cart>([shown_at(129)]).when(refuse(2), NOW).then([]);
    given::<Cart>([shown_at(129), checked_out_as(&at_price(129))]).when(refuse(3), NOW).then([]);
    given::<Cart>([]).when(refuse(2), NOW).then_rejected(Rejection::NotFound);
}

#[test]
fn a_refusal_of_an_earlier_checkout_as_the_same_order_changes_nothing() {
    let again = Checkout { placed_at: NOW.plus(Duration::from_secs(60)), ..at_price(129) };
    let history =
        [shown_at(129), checked_out_as(&at_price(129)), refusal(2), checked_out_as(&again)];
    given::<Cart>(history.clone()).when(refuse(2), NOW).then([]);
    given::<Cart>(history).when(refuse_of(2, again), NOW).then([refusal(2)]);
}

#[test]
fn a_cart_keeps_what_was_agreed_word_for_word() {
    let cart: Cart = fold([rung_up(), checked_out_as(&sample::checkout())]);
    assert_eq!(cart.checkout(), Some(sample::checkout()));
}

#[test]
fn check_out_of_an_abandoned_cart_is_rejected() {
    given::<Cart>([shown_at(129), abandoned()])
        .when(web(), NOW)
        .then_rejected(Rejection::NotOpen { status: Status::Abandoned });
}

#[test]
fn check_out_of_an_empty_cart_is_rejected() {
    given::<Cart>([created(false, [])]).when(web(), NOW).then_rejected(Rejection::Empty);
}

#[test]
fn every_line_must_still_be_sellable() {
    let expected = || Rejection::SkuNotSellable(sku("A-1"));
    refuses(false, Terms { listings: vec![(sku("A-1"), None)], ..terms() }, expected());
    refuses(false, Terms { listings: vec![], ..terms() }, expected());
    refuses(true, Terms { listings: vec![], ..till() }, expected());
}

#[test]
fn a_price_that_changed_needs_consent() {
    let changed = Terms { listings: now_at(140), ..terms() };
    let expected = Rejection::PriceChanged { sku: sku("A-1"), shown: usd(129), current: usd(140) };
    refuses(false, changed.clone(), expected);
    given::<Cart>([shown_at(129)])
        .when(check_out(Terms { accept_price_changes: true, ..changed }), NOW)
        .then([checked_out_as(&at_price(140))]);
}

#[test]
fn a_price_that_did_not_change_needs_no_consent() {
    given::<Cart>([shown_at(129)]).when(web(), NOW).then([checked_out_as(&at_price(129))]);
}

#[test]
fn what_was_rung_up_keeps_its_price() {
    let changed = |terms| Terms { listings: now_at(140), accept_price_changes: true, ..terms };
    given::<Cart>([rung_up()])
        .when(check_out(changed(terms())), NOW)
        .then([checked_out_as(&sample::checkout())]);
    given::<Cart>([rung_up()])
        .when(check_out(changed(till())), NOW)
        .then([checked_out_as(&at_till(NOW))]);
    given::<Cart>([with_line(true, line("A-1", 2, 129))])
        .when(check_out(Terms { accept_price_changes: false, ..changed(till()) }), NOW)
        .then([checked_out_as(&Checkout {
            lines: at_price(129).lines,
            totals: at_price(129).totals,
            ..at_till(NOW)
        })]);
}

#[test]
fn a_new_price_beyond_the_limit_is_refused() {
    let soared = Terms { listings: now_at(i64::MAX), accept_price_changes: true, ..terms() };
    refuses(false, soared, Rejection::AmountTooLarge(sku("A-1")));
}

#[test]
fn the_web_needs_email_address_and_method() {
    refuses(false, Terms { email: None, ..terms() }, Rejection::EmailMissing);
    let nowhere = Terms { shipping_address: None, ..terms() };
    refuses(false, nowhere, Rejection::ShippingAddressMissing);
    let unpaid = Terms { method_token: String::new(), ..terms() };
    refuses(false, unpaid, Rejection::MethodTokenMissing);
}

#[test]
fn the_web_takes_no_cash() {
    refuses(true, Terms { method_token: CASH.into(), ..terms() }, Rejection::CashNeedsTill);
}

#[test]
fn the_web_sells_now() {
    let past = Terms { occurred_at: Some(NOW), ..terms() };
    refuses(false, past, Rejection::OccurredAtNotAllowed);
}

#[test]
fn the_till_needs_a_staff_cart_and_a_method() {
    refuses(false, till(), Rejection::TillNeedsStaff);
    let unpaid = Terms { method_token: String::new(), ..till() };
    refuses(true, unpaid, Rejection::MethodTokenMissing);
}

#[test]
fn the_till_may_tell_of_a_sale_in_the_past() {
    let past = Timestamp::from_micros(NOW.as_micros() - 1);
    given::<Cart>([rung_up()])
        .when(check_out(Terms { occurred_at: Some(past), ..till() }), NOW)
        .then([checked_out_as(&at_till(past))]);
}

#[test]
fn the_till_cannot_tell_of_the_future() {
    let future = NOW.plus(Duration::from_micros(1));
    let terms = Terms { occurred_at: Some(future), ..till() };
    refuses(true, terms, Rejection::OccurredAtInFuture);
}
