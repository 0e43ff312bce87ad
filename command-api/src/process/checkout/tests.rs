//! What each event asks for, and where outcomes lead.

use domain::{
    cart::{Channel, Checkout, Line, Totals},
    id::CommandId,
    testing::{self, fold, sku, usd},
    timestamp::Timestamp,
};
use expect_test::expect;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::testing::recorded;

const ORDER: OrderId = OrderId::new(Uuid::from_u128(1));
const PAYMENT: PaymentId = PaymentId::new(Uuid::from_u128(2));

fn line(code: &str, quantity: u32) -> Line {
    Line {
        sku: sku(code),
        product_id: domain::id::ProductId::new(Uuid::nil()),
        name: code.to_owned(),
        department: None,
        quantity,
        unit_price: usd(5),
        adjustments: vec![],
        total: usd(5 * i64::from(quantity)),
    }
}

/// An order of two units of A and three of B, with a discount.
fn order(status: Status) -> Order {
    let checkout = Checkout {
        lines: vec![line("A", 2), line("B", 3)],
        totals: Totals { subtotal: usd(25), discount: usd(-4), total: usd(21) },
        channel: Channel::Web,
        placed_at: Timestamp::default(),
        method_token: "tok_ok".to_owned(),
        customer_reference: None,
        email: None,
        shipping_address: None,
    };
    let cart_id = domain::id::CartId::new(Uuid::nil());
    Order { placed: Some(order::Placed { cart_id, checkout }), status, ..Order::default() }
}

fn of_order(event: order::Event, status: Status) -> Plan {
    react(&recorded(ORDER.stream(), 1, Event::Order(event)), &order(status), "sandbox")
}

fn of_payment(event: payment::Event, status: Status) -> Plan {
    react(&recorded(PAYMENT.stream(), 1, Event::Payment(event)), &order(status), "sandbox")
}

impl Plan {
    /// Each step: its name, whom it tells, and what. Behind them what their outcomes are for, by name.
    #[track_caller]
    fn is(&self, expected: &[&str]) {
        let told = self.steps.iter().map(|Step { name, action, .. }| match action {
            Action::Submit(addressed) => {
                let command = serde_json::to_string(addressed.command()).unwrap();
                format!("{name}: {} {command}", addressed.stream())
            }
            Action::Authorise(request) => {
                let Authorisation { payment_id, amount, method_token, expires_at } = request;
                let Money { amount, currency } = amount;
                format!(
                    "{name}: {payment_id} {amount} {currency} {method_token} until {expires_at}"
                )
            }
            Action::Void(payment_id) => format!("{name}: {payment_id}"),
        });
        let next = format!("{:?}", self.next);
        let next = next.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let told = told.chain([format!("then: {next}")]);
        let (order, payment) = (ORDER.to_string(), PAYMENT.to_string());
        let told = told.map(|line| line.replace(&order, "ORDER").replace(&payment, "PAYMENT"));
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}

fn no() -> Outcome {
    Outcome::Refused { code: "stock.insufficient".to_owned(), detail: "only 1".to_owned() }
}

fn placed() -> order::Event {
    let order::Placed { cart_id, checkout } = order(Status::Pending).placed.unwrap();
    order::Event::Placed { cart_id, checkout }
}

/// Of another amount than the order's, to tell them apart.
fn authorised() -> payment::Event {
    let data = json!({ "order_id": ORDER, "amount": usd(19), "reference": "r" });
    testing::event::<Payment>("authorised", data)
}

fn requested(amount: i64, token: &str) -> payment::Event {
    let data = json!({
        "order_id": ORDER, "amount": usd(amount), "provider": "sandbox", "method_token": token,
        "expires_at": Timestamp::from_micros(60_000_000),
        "ask_again_at": Timestamp::from_micros(10_000_000),
    });
    testing::event::<Payment>("requested", data)
}

fn declined() -> payment::Event {
    let data = json!({ "order_id": ORDER, "code": "card_declined", "detail": "ask the bank" });
    testing::event::<Payment>("declined", data)
}

fn sale() -> Sale {
    let lines = vec![(sku("A"), 2), (sku("B"), 3)];
    Sale { order_id: ORDER, payment_id: PAYMENT, paid: usd(19), lines }
}

#[test]
fn a_checked_out_cart_becomes_an_order_or_is_open_again() {
    let order::Placed { cart_id, checkout } = order(Status::Pending).placed.unwrap();
    let data = json!({ "order_id": ORDER, "checkout": checkout });
    let event = testing::event::<Cart>("checked_out", data);
    let event = recorded(cart_id.stream(), 1, Event::Cart(event));
    let plan = react(&event, &Order::default(), "sandbox");
    plan.is(&[
        r#"place: order/ORDER {"Order":{"Place":{"cart_id":"00000000-0000-0000-0000-000000000000","checkout":{"lines":[{"sku":"A","product_id":"00000000-0000-0000-0000-000000000000","name":"A","quantity":2,"unit_price":{"amount":5,"currency":"USD"},"total":{"amount":10,"currency":"USD"}},{"sku":"B","product_id":"00000000-0000-0000-0000-000000000000","name":"B","quantity":3,"unit_price":{"amount":5,"currency":"USD"},"total":{"amount":15,"currency":"USD"}}],"totals":{"subtotal":{"amount":25,"currency":"USD"},"discount":{"amount":-4,"currency":"USD"},"total":{"amount":21,"currency":"USD"}},"channel":"web","placed_at":"1970-01-01T00:00:00.000000Z","method_token":"tok_ok"}}}}"#,
        "then: Place",
    ]);
    proceed(plan.next, &[no()]).is(&[
        r#"refuse checkout: cart/00000000-0000-0000-0000-000000000000 {"Cart":{"RefuseCheckout":{"order_id":"ORDER","checkout":{"lines":[{"sku":"A","product_id":"00000000-0000-0000-0000-000000000000","name":"A","quantity":2,"unit_price":{"amount":5,"currency":"USD"},"total":{"amount":10,"currency":"USD"}},{"sku":"B","product_id":"00000000-0000-0000-0000-000000000000","name":"B","quantity":3,"unit_price":{"amount":5,"currency":"USD"},"total":{"amount":15,"currency":"USD"}}],"totals":{"subtotal":{"amount":25,"currency":"USD"},"discount":{"amount":-4,"currency":"USD"},"total":{"amount":21,"currency":"USD"}},"channel":"web","placed_at":"1970-01-01T00:00:00.000000Z","method_token":"tok_ok"},"code":"stock.insufficient","detail":"only 1"}}}"#,
        "then: Nothing",
    ]);
    let placed = react(&event, &Order::default(), "sandbox");
    assert_eq!(proceed(placed.next, &[Outcome::Done]), Plan::default());
}

#[test]
fn a_placed_order_reserves_all_lines_side_by_side() {
    let plan = of_order(placed(), Status::Pending);
    plan.is(&[
        r#"reserve A: stock/A {"Stock":{"Reserve":{"reservation_id":"d8f2baa1-5568-5e40-bcbf-9a24362adbd9","order_id":"ORDER","quantity":2}}}"#,
        r#"reserve B: stock/B {"Stock":{"Reserve":{"reservation_id":"b895b67f-fe35-54c3-b7de-68c172f95067","order_id":"ORDER","quantity":3}}}"#,
        "then: Reserve",
    ]);
    proceed(plan.next, &[Outcome::Done, Outcome::Done])
        .is(&[r#"record reserved: order/ORDER {"Order":"RecordStockReserved"}"#, "then: Settled"]);
    let plan = of_order(placed(), Status::Pending);
    proceed(plan.next, &[Outcome::Done, no()]).is(&[
        r#"reject: order/ORDER {"Order":{"Reject":{"reasons":[{"sku":"B","code":"stock.insufficient","detail":"only 1"}]}}}"#,
        "then: Nothing",
    ]);
    let plan = of_order(placed(), Status::Pending);
    proceed(plan.next, &[no(), no()]).is(&[
        r#"reject: order/ORDER {"Order":{"Reject":{"reasons":[{"sku":"A","code":"stock.insufficient","detail":"only 1"},{"sku":"B","code":"stock.insufficient","detail":"only 1"}]}}}"#,
        "then: Nothing",
    ]);
}

#[test]
fn an_order_that_moved_on_reserves_nothing_again() {
    for status in [Status::Confirmed, Status::Rejected] {
        assert_eq!(of_order(placed(), status), Plan::default());
    }
    let order = Order { stock_reserved: true, ..order(Status::Pending) };
    let event = recorded(ORDER.stream(), 1, Event::Order(placed()));
    assert_eq!(react(&event, &order, "sandbox"), Plan::default());
}

#[test]
fn reserved_stock_asks_for_the_total() {
    let plan = of_order(order::Event::StockReserved {}, Status::Pending);
    plan.is(&[
        r#"request: payment/c14c3469-f156-5225-83a0-ef96ba61d6b2 {"Payment":{"Request":{"order_id":"ORDER","amount":{"amount":21,"currency":"USD"},"provider":"sandbox","method_token":"tok_ok"}}}"#,
        "then: Request",
    ]);
    proceed(plan.next, &[no()]).is(&[
        r#"reject: order/ORDER {"Order":{"Reject":{"reasons":[{"code":"stock.insufficient","detail":"only 1"}]}}}"#,
        "then: Nothing",
    ]);
}

#[test]
fn the_provider_is_asked_unless_no_money_has_to_move() {
    for (amount, token, attempt) in
        [(21, "tok_ok", Some(1)), (0, "tok_ok", None), (21, "cash", None)]
    {
        let event = recorded(PAYMENT.stream(), 1, Event::Payment(requested(amount, token)));
        assert_eq!(attempt_of(&event), attempt, "{amount} {token}");
        assert_eq!(react(&event, &order(Status::Pending), "sandbox"), Plan::default());
    }
}

#[test]
fn a_payment_is_asked_for_while_its_provider_is_awaited() {
    let again = || testing::event::<Payment>("asked_again", json!({ "attempt": 2 }));
    let of = |more: Vec<payment::Event>, attempt| {
        let history = [requested(21, "tok_ok")].into_iter().chain(more);
        let event = recorded(PAYMENT.stream(), 1, Event::Payment(again()));
        ask(&event, &fold(history), attempt)
    };
    for (more, attempt) in [(vec![], 1), (vec![again()], 2)] {
        of(more, attempt).is(&[
            "authorise: PAYMENT 21 USD tok_ok until 1970-01-01T00:01:00.000000Z",
            "then: Decide",
        ]);
    }
    assert_eq!(of(vec![again()], 1), Plan::default(), "a later attempt is under way");
    let data = json!({ "reference": "r", "expires_at": Timestamp::default() });
    let action = testing::event::<Payment>("action_required", data);
    for answer in [authorised(), declined(), action] {
        assert_eq!(of(vec![again(), answer], 2), Plan::default());
    }
}

#[test]
fn what_the_provider_says_is_recorded() {
    let next = || Next::Decide { payment_id: PAYMENT };
    let reference = || "r".to_owned();
    let plan =
        proceed(next(), &[Outcome::Decided(Decision::Authorised { reference: reference() })]);
    plan.is(&[
        r#"record: payment/PAYMENT {"Payment":{"RecordAuthorisation":{"reference":"r"}}}"#,
        "then: Authorise",
    ]);
    assert_eq!(plan.next, Next::Authorise { payment_id: PAYMENT });
    let no = Decision::Declined { code: "card_declined".to_owned(), detail: "ask".to_owned() };
    proceed(next(), &[Outcome::Decided(no)]).is(&[
        r#"record: payment/PAYMENT {"Payment":{"RecordDecline":{"code":"card_declined","detail":"ask"}}}"#,
        "then: Settled",
    ]);
    let ask = Decision::ActionRequired { reference: reference() };
    proceed(next(), &[Outcome::Decided(ask)]).is(&[
        r#"record: payment/PAYMENT {"Payment":{"RequireAction":{"reference":"r"}}}"#,
        "then: Settled",
    ]);
    assert_eq!(proceed(next(), &[Outcome::Silence]), Plan::default());
}

#[test]
fn a_yes_that_is_refused_is_given_back() {
    proceed(Next::Authorise { payment_id: PAYMENT }, &[no()])
        .is(&["void at provider: PAYMENT", "then: Nothing"]);
    assert_eq!(proceed(Next::Authorise { payment_id: PAYMENT }, &[Outcome::Done]), Plan::default());
}

#[test]
fn a_paid_order_takes_its_stock_and_is_confirmed_with_what_was_paid() {
    let plan = of_payment(authorised(), Status::Pending);
    plan.is(&[
        r#"commit A: stock/A {"Stock":{"Commit":{"reservation_id":"d8f2baa1-5568-5e40-bcbf-9a24362adbd9"}}}"#,
        r#"commit B: stock/B {"Stock":{"Commit":{"reservation_id":"b895b67f-fe35-54c3-b7de-68c172f95067"}}}"#,
        "then: Commit",
    ]);
    let plan = proceed(plan.next, &[Outcome::Done, Outcome::Done]);
    plan.is(&[
        r#"confirm: order/ORDER {"Order":{"Confirm":{"payment_id":"PAYMENT","paid":{"amount":19,"currency":"USD"}}}}"#,
        "then: Confirm",
    ]);
    assert_eq!(proceed(plan.next, &[Outcome::Done]), Plan::default());
}

#[test]
fn stock_that_is_gone_takes_everything_back_before_the_rejection() {
    let plan = proceed(Next::Commit(sale()), &[Outcome::Done, no()]);
    plan.is(&[
        r#"put back A: stock/A {"Stock":{"Return":{"reservation_id":"d8f2baa1-5568-5e40-bcbf-9a24362adbd9","quantity":2}}}"#,
        r#"void: payment/PAYMENT {"Payment":{"Void":{"reason":"order rejected"}}}"#,
        "then: Compensate",
    ]);
    proceed(plan.next, &[Outcome::Done, Outcome::Done]).is(&[
        r#"reject: order/ORDER {"Order":{"Reject":{"reasons":[{"sku":"B","code":"stock.insufficient","detail":"only 1"}]}}}"#,
        "then: Nothing",
    ]);
}

#[test]
fn an_order_that_will_not_be_confirmed_takes_everything_back() {
    let plan = proceed(Next::Confirm(sale()), &[no()]);
    plan.is(&[
        r#"put back A: stock/A {"Stock":{"Return":{"reservation_id":"d8f2baa1-5568-5e40-bcbf-9a24362adbd9","quantity":2}}}"#,
        r#"put back B: stock/B {"Stock":{"Return":{"reservation_id":"b895b67f-fe35-54c3-b7de-68c172f95067","quantity":3}}}"#,
        r#"void: payment/PAYMENT {"Payment":{"Void":{"reason":"order rejected"}}}"#,
        "then: Compensate",
    ]);
    proceed(plan.next, &[Outcome::Done, Outcome::Done, Outcome::Done]).is(&[
        r#"reject: order/ORDER {"Order":{"Reject":{"reasons":[{"code":"stock.insufficient","detail":"only 1"}]}}}"#,
        "then: Nothing",
    ]);
}

#[test]
fn money_for_a_rejected_order_is_given_back_and_for_a_confirmed_one_kept() {
    of_payment(authorised(), Status::Rejected).is(&[
        r#"void: payment/PAYMENT {"Payment":{"Void":{"reason":"order rejected"}}}"#,
        "then: Nothing",
    ]);
    assert_eq!(of_payment(authorised(), Status::Confirmed), Plan::default());
    let voided = testing::event::<Payment>("voided", json!({ "reason": "" }));
    of_payment(voided, Status::Rejected).is(&["void at provider: PAYMENT", "then: Nothing"]);
}

#[test]
fn a_payment_that_fails_rejects_the_order() {
    of_payment(declined(), Status::Pending).is(&[
        r#"reject: order/ORDER {"Order":{"Reject":{"reasons":[{"code":"card_declined","detail":"ask the bank"}]}}}"#,
        "then: Nothing",
    ]);
    let expired = testing::event::<Payment>("expired", json!({ "order_id": ORDER }));
    of_payment(expired, Status::Pending).is(&[
        r#"reject: order/ORDER {"Order":{"Reject":{"reasons":[{"code":"payment.expired","detail":"the payment was not authorised in time"}]}}}"#,
        "void at provider: PAYMENT",
        "then: Nothing",
    ]);
}

#[test]
fn a_rejected_order_releases_all_lines() {
    let plan = of_order(order::Event::Rejected { reasons: vec![] }, Status::Rejected);
    plan.is(&[
        r#"release A: stock/A {"Stock":{"Release":{"reservation_id":"d8f2baa1-5568-5e40-bcbf-9a24362adbd9","reason":"order rejected"}}}"#,
        r#"release B: stock/B {"Stock":{"Release":{"reservation_id":"b895b67f-fe35-54c3-b7de-68c172f95067","reason":"order rejected"}}}"#,
        "then: Nothing",
    ]);
}

/// A step is done once because its command's id is the same each time, on every node and in every
/// release.
#[test]
fn the_same_step_is_the_same_command_for_ever() {
    let event = recorded(ORDER.stream(), 1, Event::Order(placed()));
    let plan = react(&event, &order(Status::Pending), "sandbox");
    let ids = plan.steps.iter().map(|step| {
        let stream = step.target().unwrap();
        format!("{}: {}\n", step.name, CommandId::of_step(event.id, &step.name, stream))
    });
    expect![[r#"
        reserve A: 9804c5c2-229f-5327-8b7a-db486bf2eda4
        reserve B: 928c90c3-dc0e-51aa-9042-cb46efdff605
    "#]]
    .assert_eq(&ids.collect::<String>());
}
