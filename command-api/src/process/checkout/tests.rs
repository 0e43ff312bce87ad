//! What each event asks for, and where outcomes lead.

use std::sync::Arc;

use domain::{
    aggregate::Evolve,
    cart::{Channel, Checkout, Totals},
    envelope::Provenance,
    id::{CausationId, CommandId, CorrelationId, EventId, StreamId},
    money::Currency,
    timestamp::Timestamp,
};
use uuid::Uuid;

use super::*;

const ORDER: OrderId = OrderId::new(Uuid::from_u128(1));
const PAYMENT: PaymentId = PaymentId::new(Uuid::from_u128(2));

fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::USD)
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

fn line(code: &str) -> Line {
    Line {
        sku: sku(code),
        product_id: domain::id::ProductId::new(Uuid::nil()),
        name: code.to_owned(),
        department: None,
        quantity: 2,
        unit_price: usd(5),
        adjustments: vec![],
        total: usd(10),
    }
}

/// An order of two units of each of A and B.
fn order(status: Status) -> Order {
    let checkout = Checkout {
        lines: vec![line("A"), line("B")],
        totals: Totals { subtotal: usd(20), discount: usd(0), total: usd(20) },
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

fn recorded(stream: StreamId, event: Event) -> Recorded {
    Recorded {
        id: EventId::new(Uuid::from_u128(9)),
        stream,
        revision: 1,
        recorded_at: Timestamp::default(),
        provenance: Provenance {
            command_id: CommandId::new(Uuid::nil()),
            correlation_id: CorrelationId::new(Uuid::nil()),
            causation_id: CausationId::new(Uuid::nil()),
            actor: Arc::from("guest"),
            traceparent: None,
        },
        event,
    }
}

fn of_order(event: order::Event, status: Status) -> Plan {
    react(&recorded(ORDER.stream(), Event::Order(event)), &order(status), "sandbox")
}

fn of_payment(event: payment::Event, status: Status) -> Plan {
    react(&recorded(PAYMENT.stream(), Event::Payment(event)), &order(status), "sandbox")
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.name.as_str()).collect()
}

fn no() -> Outcome {
    Outcome::Refused { code: "stock.insufficient".to_owned(), detail: "only 1".to_owned() }
}

fn why(sku: Option<&str>) -> Vec<Reason> {
    let sku = sku.map(|sku| sku.parse().unwrap());
    vec![Reason { sku, code: "stock.insufficient".to_owned(), detail: "only 1".to_owned() }]
}

fn placed() -> order::Event {
    let order::Placed { cart_id, checkout } = order(Status::Pending).placed.unwrap();
    order::Event::Placed { cart_id, checkout }
}

fn authorised() -> payment::Event {
    payment::Event::Authorised { order_id: ORDER, amount: usd(20), reference: "r".to_owned() }
}

fn sale() -> Sale {
    let lines = vec![(sku("A"), 2), (sku("B"), 2)];
    Sale { order_id: ORDER, payment_id: PAYMENT, paid: usd(20), lines }
}

#[test]
fn a_placed_order_reserves_all_lines_side_by_side() {
    let plan = of_order(placed(), Status::Pending);
    assert_eq!(names(&plan), ["reserve A", "reserve B"]);
    assert_eq!(plan.next, Next::Reserve { order_id: ORDER, skus: vec![sku("A"), sku("B")] });
}

#[test]
fn an_order_that_moved_on_reserves_nothing_again() {
    for status in [Status::Confirmed, Status::Rejected] {
        assert_eq!(of_order(placed(), status), Plan::default());
    }
}

#[test]
fn one_line_that_cannot_be_reserved_rejects_the_order_with_its_reason() {
    let next = || Next::Reserve { order_id: ORDER, skus: vec![sku("A"), sku("B")] };
    let plan = proceed(next(), &[Outcome::Done, no()]);
    assert_eq!(plan, Plan::of(vec![reject(ORDER, why(Some("B")))]));
    let plan = proceed(next(), &[Outcome::Done, Outcome::Done]);
    assert_eq!(names(&plan), ["record reserved"]);
}

#[test]
fn reserved_stock_asks_for_the_total() {
    let plan = of_order(order::Event::StockReserved {}, Status::Pending);
    let [Step { action: Action::Submit { command, .. }, .. }] = &plan.steps[..] else {
        panic!("{plan:?}");
    };
    let Command::Payment(payment::Command::Request { amount, provider, .. }) = &**command else {
        panic!("{plan:?}");
    };
    assert_eq!((*amount, provider.as_str()), (usd(20), "sandbox"));
}

#[test]
fn the_provider_is_asked_unless_no_money_has_to_move() {
    let requested = |amount, token: &str| payment::Event::Requested {
        order_id: ORDER,
        amount: usd(amount),
        provider: "sandbox".to_owned(),
        method_token: token.to_owned(),
        expires_at: Timestamp::default(),
        ask_again_at: None,
    };
    assert_eq!(names(&of_payment(requested(20, "tok_ok"), Status::Pending)), ["authorise"]);
    assert_eq!(of_payment(requested(0, "tok_ok"), Status::Pending), Plan::default());
    assert_eq!(of_payment(requested(20, "cash"), Status::Pending), Plan::default());
}

#[test]
fn a_payment_is_asked_for_again_while_its_provider_is_awaited() {
    let requested = payment::Event::Requested {
        order_id: ORDER,
        amount: usd(20),
        provider: "sandbox".to_owned(),
        method_token: "tok_ok".to_owned(),
        expires_at: Timestamp::default(),
        ask_again_at: Some(Timestamp::default()),
    };
    let again = payment::Event::AskedAgain { attempt: 2, ask_again_at: None };
    let event = recorded(PAYMENT.stream(), Event::Payment(again.clone()));
    let of = |more: &[payment::Event], attempt| {
        let mut payment = Payment::default();
        for event in [&requested, &again].into_iter().chain(more) {
            payment.evolve(event);
        }
        ask_again(&event, &payment, attempt)
    };
    assert_eq!(names(&of(&[], 2)), ["authorise"]);
    assert_eq!(of(&[], 1), Plan::default(), "a later attempt is under way");
    let (declined, action) = (
        payment::Event::Declined { order_id: ORDER, code: String::new(), detail: String::new() },
        payment::Event::ActionRequired {
            reference: "r".to_owned(),
            expires_at: Timestamp::default(),
        },
    );
    for answer in [authorised(), declined, action] {
        assert_eq!(of(&[answer], 2), Plan::default());
    }
}

#[test]
fn what_the_provider_says_is_recorded() {
    let next = || Next::Decide { payment_id: PAYMENT };
    let reference = || "r".to_owned();
    let yes = Outcome::Decided(Decision::Authorised { reference: reference() });
    let plan = proceed(next(), &[yes]);
    assert_eq!(
        (names(&plan), &plan.next),
        (vec!["record"], &Next::Authorise { payment_id: PAYMENT })
    );
    let ask = Outcome::Decided(Decision::ActionRequired { reference: reference() });
    assert_eq!(names(&proceed(next(), &[ask])), ["record"]);
    assert_eq!(proceed(next(), &[Outcome::Silence]), Plan::default());
}

#[test]
fn a_yes_that_is_refused_is_given_back() {
    let plan = proceed(Next::Authorise { payment_id: PAYMENT }, &[no()]);
    assert_eq!(plan, Plan::of(vec![Step::void(PAYMENT)]));
    assert_eq!(proceed(Next::Authorise { payment_id: PAYMENT }, &[Outcome::Done]), Plan::default());
}

#[test]
fn a_paid_order_takes_its_stock_and_is_confirmed() {
    let plan = of_payment(authorised(), Status::Pending);
    assert_eq!(names(&plan), ["commit A", "commit B"]);
    let plan = proceed(plan.next, &[Outcome::Done, Outcome::Done]);
    assert_eq!(names(&plan), ["confirm"]);
    assert_eq!(proceed(plan.next, &[Outcome::Done]), Plan::default());
}

#[test]
fn stock_that_is_gone_takes_everything_back_before_the_rejection() {
    let plan = proceed(Next::Commit(sale()), &[Outcome::Done, no()]);
    assert_eq!(names(&plan), ["put back A", "void"]);
    let reservation_id = reservation(ORDER, &sku("A"));
    let command = Command::Stock(stock::Command::Return { reservation_id, quantity: 2 });
    assert_eq!(plan.steps[0], Step::submit("put back A", sku("A").stock_stream(), command));
    let plan = proceed(plan.next, &[Outcome::Done, Outcome::Done]);
    assert_eq!(plan, Plan::of(vec![reject(ORDER, why(Some("B")))]));
}

#[test]
fn an_order_that_will_not_be_confirmed_takes_everything_back() {
    let plan = proceed(Next::Confirm(sale()), &[no()]);
    assert_eq!(names(&plan), ["put back A", "put back B", "void"]);
    assert_eq!(plan.next, Next::Compensate { order_id: ORDER, reasons: why(None) });
}

#[test]
fn money_for_a_rejected_order_is_given_back_and_for_a_confirmed_one_kept() {
    assert_eq!(names(&of_payment(authorised(), Status::Rejected)), ["void"]);
    assert_eq!(of_payment(authorised(), Status::Confirmed), Plan::default());
}

#[test]
fn a_payment_that_fails_rejects_the_order() {
    let declined = payment::Event::Declined {
        order_id: ORDER,
        code: "stock.insufficient".to_owned(),
        detail: "only 1".to_owned(),
    };
    let plan = of_payment(declined, Status::Pending);
    assert_eq!(plan, Plan::of(vec![reject(ORDER, why(None))]));
    let plan = of_payment(payment::Event::Expired { order_id: ORDER }, Status::Pending);
    assert_eq!(names(&plan), ["reject", "void at provider"]);
}

#[test]
fn a_rejected_order_releases_all_lines() {
    let plan = of_order(order::Event::Rejected { reasons: vec![] }, Status::Rejected);
    assert_eq!(names(&plan), ["release A", "release B"]);
}

#[test]
fn the_same_event_asks_for_the_same() {
    assert_eq!(of_order(placed(), Status::Pending), of_order(placed(), Status::Pending));
}
