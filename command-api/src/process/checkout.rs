//! From a checked-out cart to an order that is confirmed, or rejected with its reasons.
//!
//! 1. The cart is checked out: place the order.
//! 2. The order is placed: reserve the stock of all lines. If any is refused, reject the order.
//! 3. The stock is reserved: request the payment.
//! 4. The payment is requested: ask the provider, record what it says. If it says nothing, the
//!    payment has it asked again a few times, until it expires.
//! 5. The payment is authorised: commit the stock, confirm the order. If any of it is refused,
//!    take back what was committed, void the payment, and then reject the order.
//! 6. The payment is declined or expires: reject the order.
//! 7. The order is rejected: release what is still reserved.
//!
//! A rejected order is the last step of a compensation, so whoever finds one rejected knows that
//! nothing else is left to take back.

mod steps;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::{
    Event, StreamType,
    addressed::Addressed,
    cart::{self, Cart, Checkout},
    envelope::Recorded,
    id::{CartId, EventId, OrderId, PaymentId, Sku},
    money::Money,
    order::{self, Order, Reason, Status},
    payment::{self, Payment},
};

use steps::{
    PLACE, commit, place, put_back, reject, release, reserve, submit_order, submit_payment, void,
};

pub(crate) use steps::payment_of;
#[cfg(test)]
pub(super) use steps::reservation;

use super::{
    manager::{Managers, ProcessManager},
    plan::{Action, Failed, Outcome, Step},
    worker::{Cause, submission},
};
use crate::{
    engine::Submission,
    payment::{Authorisation, Decision},
};

type Plan = super::plan::Plan<Next>;

/// The process.
pub(super) struct CheckoutProcess;

/// What it reads before it reacts to an event.
#[derive(Default)]
pub(super) struct Loaded {
    /// The one that [`order_of`] names.
    order: Arc<Order>,
    /// Where the provider is to be asked, and the number of that attempt.
    payment: Option<(Arc<Payment>, u32)>,
    /// Who is asked for payments.
    provider: String,
}

impl ProcessManager for CheckoutProcess {
    const NAME: &'static str = "checkout";

    type Loaded = Loaded;
    type Next = Next;

    fn wants(kind: StreamType, event: &str) -> bool {
        match kind {
            StreamType::Order | StreamType::Payment => true,
            StreamType::Cart => event == "checked_out",
            _ => false,
        }
    }

    async fn load(managers: &Managers, event: &Recorded) -> Result<Loaded, Failed> {
        let provider = managers.desk.name().to_owned();
        if let Some(attempt) = attempt_of(event) {
            // Delivered again, it may have been answered: another answer would contradict that one.
            let payment = managers.read(&event.stream, event.revision).await?;
            return Ok(Loaded { payment: Some((payment.state, attempt)), ..Loaded::default() });
        }
        let Some(stream) = order_of(event).map(OrderId::stream) else {
            return Ok(Loaded { provider, ..Loaded::default() });
        };
        // An order that another stream's event names has been placed before.
        let revision = if event.stream == stream { event.revision } else { 1 };
        let order = managers.read(&stream, revision).await?.state;
        Ok(Loaded { order, provider, payment: None })
    }

    fn react(event: &Recorded, loaded: Loaded) -> Plan {
        match loaded.payment {
            Some((payment, attempt)) => ask(event, &payment, attempt),
            None => react(event, &loaded.order, &loaded.provider),
        }
    }

    fn takes(next: &Next, code: &str) -> bool {
        match next {
            Next::Nothing | Next::Compensate { .. } => false,
            Next::Settled(codes) => codes.contains(&code),
            Next::Place { .. }
            | Next::Reserve { .. }
            | Next::Request { .. }
            | Next::Decide { .. }
            | Next::Authorise { .. }
            | Next::Commit(_)
            | Next::Confirm(_) => true,
        }
    }

    fn proceed(next: Next, outcomes: &[Outcome]) -> Plan {
        proceed(next, outcomes)
    }
}

/// The number of the attempt that a payment's event begins, if the provider is to be asked.
fn attempt_of(event: &Recorded) -> Option<u32> {
    match &event.event {
        Event::Payment(payment::Event::AskedAgain { attempt, .. }) => Some(*attempt),
        Event::Payment(payment::Event::Requested { method_token, amount, .. }) => {
            payment::settled_reference(method_token, *amount).is_none().then_some(1)
        }
        _ => None,
    }
}

/// What the outcomes of a plan's steps are for.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Next {
    #[default]
    Nothing,
    /// A no with one of these codes says that it has been settled otherwise.
    Settled(&'static [&'static str]),
    /// The order was to be placed.
    Place { cart_id: CartId, order_id: OrderId, checkout: Box<Checkout> },
    /// The stock of these lines was asked for.
    Reserve { order_id: OrderId, skus: Vec<Sku> },
    /// The payment was to be requested.
    Request { order_id: OrderId },
    /// The provider was asked.
    Decide { payment_id: PaymentId },
    /// The provider's yes was recorded.
    Authorise { payment_id: PaymentId },
    /// The stock was committed.
    Commit(Sale),
    /// The order was confirmed.
    Confirm(Sale),
    /// All was taken back.
    Compensate { order_id: OrderId, reasons: Vec<Reason> },
}

/// An order that is being paid.
#[derive(Debug, PartialEq)]
pub(super) struct Sale {
    pub(super) order_id: OrderId,
    pub(super) payment_id: PaymentId,
    pub(super) paid: Money,
    pub(super) lines: Vec<(Sku, u32)>,
}

/// The order that must be known to react to an event.
pub(super) fn order_of(event: &Recorded) -> Option<OrderId> {
    match &event.event {
        Event::Order(order::Event::Confirmed { .. }) => None,
        Event::Order(_) => event.stream.key().parse().ok(),
        Event::Payment(payment::Event::Authorised { order_id, .. }) => Some(*order_id),
        _ => None,
    }
}

/// What an event asks for; `order` is the one that [`order_of`] names.
pub(super) fn react(event: &Recorded, order: &Order, provider: &str) -> Plan {
    match &event.event {
        Event::Cart(cart::Event::CheckedOut { order_id, checkout }) => {
            let Ok(cart_id) = event.stream.key().parse() else { return Plan::default() };
            let (order_id, placed) = (*order_id, checkout.clone());
            let checkout = Box::new(checkout.clone());
            Plan::of(vec![place(cart_id, order_id, placed)]).then(Next::Place {
                cart_id,
                order_id,
                checkout,
            })
        }
        Event::Order(happened) => {
            let Ok(order_id) = event.stream.key().parse() else { return Plan::default() };
            react_to_order(order_id, happened, order, provider)
        }
        Event::Payment(happened) => {
            let Ok(payment_id) = event.stream.key().parse() else { return Plan::default() };
            react_to_payment(payment_id, happened, order)
        }
        _ => Plan::default(),
    }
}

fn react_to_order(
    order_id: OrderId,
    happened: &order::Event,
    order: &Order,
    provider: &str,
) -> Plan {
    let Some(placed) = &order.placed else { return Plan::default() };
    let checkout = &placed.checkout;
    let pending = order.status == Status::Pending;
    match happened {
        order::Event::Placed { .. } if pending && !order.stock_reserved => {
            let steps = checkout.lines.iter().map(|line| reserve(order_id, line));
            let skus = checkout.lines.iter().map(|line| line.sku.clone()).collect();
            Plan::of(steps.collect()).then(Next::Reserve { order_id, skus })
        }
        order::Event::StockReserved {} if pending => {
            let payment_id = payment_of(order_id);
            let command = payment::Command::Request {
                order_id,
                amount: checkout.totals.total,
                provider: provider.to_owned(),
                method_token: checkout.method_token.clone(),
            };
            Plan::of(vec![submit_payment("request", payment_id, command)])
                .then(Next::Request { order_id })
        }
        order::Event::Rejected { .. } => {
            Plan::of(checkout.lines.iter().map(|line| release(order_id, &line.sku)).collect())
        }
        // The rest was done when the order moved on.
        order::Event::Placed { .. }
        | order::Event::StockReserved {}
        | order::Event::Confirmed { .. } => Plan::default(),
    }
}

fn react_to_payment(payment_id: PaymentId, happened: &payment::Event, order: &Order) -> Plan {
    match happened {
        payment::Event::Authorised { order_id, amount, .. } => {
            pay(*order_id, payment_id, *amount, order)
        }
        payment::Event::Declined { order_id, code, detail } => {
            Plan::of(vec![reject(*order_id, vec![reason(None, code, detail)])])
        }
        payment::Event::Expired { order_id } => {
            let detail = "the payment was not authorised in time";
            let reasons = vec![reason(None, "payment.expired", detail)];
            Plan::of(vec![reject(*order_id, reasons), Step::void(payment_id)])
        }
        payment::Event::Voided { .. } => Plan::of(vec![Step::void(payment_id)]),
        // What the first two ask for needs the payment: see `ask`.
        payment::Event::Requested { .. }
        | payment::Event::AskedAgain { .. }
        | payment::Event::ActionRequired { .. } => Plan::default(),
    }
}

/// The provider has not answered so far. It may have by now, and a later attempt may be under way.
pub(super) fn ask(event: &Recorded, payment: &Payment, attempt: u32) -> Plan {
    let (Ok(payment_id), Some(request), Some(expires_at)) =
        (event.stream.key().parse(), &payment.request, payment.expires_at())
    else {
        return Plan::default();
    };
    if payment.status != payment::Status::Requested || payment.attempts() != attempt {
        return Plan::default();
    }
    let (amount, method_token) = (request.amount, request.method_token.clone());
    let request = Authorisation { payment_id, amount, method_token, expires_at };
    let action = Action::Authorise(request);
    Plan::of(vec![Step { name: "authorise".to_owned(), action }]).then(Next::Decide { payment_id })
}

/// The money is there.
fn pay(order_id: OrderId, payment_id: PaymentId, paid: Money, order: &Order) -> Plan {
    let lines = order.placed.as_ref().map_or(&[][..], |placed| &placed.checkout.lines);
    match order.status {
        Status::Confirmed => Plan::default(),
        Status::Rejected => Plan::of(vec![void(payment_id)]),
        Status::Pending => {
            let steps = lines.iter().map(|line| commit(order_id, &line.sku)).collect();
            let lines = lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();
            Plan::of(steps).then(Next::Commit(Sale { order_id, payment_id, paid, lines }))
        }
    }
}

/// What the outcomes of a plan's steps, in their order, lead to.
pub(super) fn proceed(next: Next, outcomes: &[Outcome]) -> Plan {
    match next {
        Next::Nothing | Next::Settled(_) => Plan::default(),
        Next::Place { cart_id, order_id, checkout } => match outcomes {
            [Outcome::Refused { code, detail }] => {
                let (code, detail) = (code.clone(), detail.clone());
                let command = cart::Command::RefuseCheckout { order_id, checkout, code, detail };
                Plan::of(vec![Step::submit::<Cart>("refuse checkout", &cart_id, command)])
            }
            _ => Plan::default(),
        },
        Next::Request { order_id } => match outcomes {
            [Outcome::Refused { code, detail }] => {
                Plan::of(vec![reject(order_id, vec![reason(None, code, detail)])])
            }
            _ => Plan::default(),
        },
        Next::Reserve { order_id, skus } => {
            let reasons = refusals(skus.iter(), outcomes);
            if reasons.is_empty() {
                let command = order::Command::RecordStockReserved;
                Plan::of(vec![submit_order("record reserved", order_id, command)])
                    .then(Next::Settled(&["order.rejected"]))
            } else {
                Plan::of(vec![reject(order_id, reasons)])
            }
        }
        Next::Decide { payment_id } => record(payment_id, outcomes),
        Next::Authorise { payment_id } => match outcomes {
            // The payment is over, so the money must not stay with us.
            [Outcome::Refused { .. }] => Plan::of(vec![Step::void(payment_id)]),
            _ => Plan::default(),
        },
        Next::Commit(sale) => {
            let reasons = refusals(sale.lines.iter().map(|(sku, _)| sku), outcomes);
            if !reasons.is_empty() {
                return compensate(&sale, outcomes, reasons);
            }
            let (payment_id, paid) = (sale.payment_id, sale.paid);
            let command = order::Command::Confirm { payment_id, paid };
            Plan::of(vec![submit_order("confirm", sale.order_id, command)])
                .then(Next::Confirm(sale))
        }
        Next::Confirm(sale) => match outcomes {
            [Outcome::Refused { code, detail }] => {
                let committed = vec![Outcome::Done; sale.lines.len()];
                compensate(&sale, &committed, vec![reason(None, code, detail)])
            }
            _ => Plan::default(),
        },
        Next::Compensate { order_id, reasons } => Plan::of(vec![reject(order_id, reasons)]),
    }
}

/// Records what the provider said.
fn record(payment_id: PaymentId, outcomes: &[Outcome]) -> Plan {
    let [Outcome::Decided(decision)] = outcomes else { return Plan::default() };
    let submit = |command| {
        // A webhook or the deadline was quicker.
        Plan::of(vec![submit_payment("record", payment_id, command)])
            .then(Next::Settled(&["payment.closed"]))
    };
    match decision.clone() {
        Decision::Authorised { reference } => {
            submit(payment::Command::RecordAuthorisation { reference })
                .then(Next::Authorise { payment_id })
        }
        Decision::Declined { code, detail } => {
            submit(payment::Command::RecordDecline { code, detail })
        }
        Decision::ActionRequired { reference } => {
            submit(payment::Command::RequireAction { reference })
        }
    }
}

/// Takes back what was committed and voids the payment; the rejection comes after both.
fn compensate(sale: &Sale, committed: &[Outcome], reasons: Vec<Reason>) -> Plan {
    let done = sale.lines.iter().zip(committed).filter(|(_, outcome)| **outcome == Outcome::Done);
    let returns = done.map(|((sku, quantity), _)| put_back(sale.order_id, sku, *quantity));
    let steps = returns.chain([void(sale.payment_id)]).collect();
    Plan::of(steps).then(Next::Compensate { order_id: sale.order_id, reasons })
}

fn refusals<'a>(skus: impl Iterator<Item = &'a Sku>, outcomes: &[Outcome]) -> Vec<Reason> {
    skus.zip(outcomes)
        .filter_map(|(sku, outcome)| match outcome {
            Outcome::Refused { code, detail } => Some(reason(Some(sku.clone()), code, detail)),
            Outcome::Done | Outcome::Decided(_) | Outcome::Silence => None,
        })
        .collect()
}

/// What [`place`] has submitted because of a checkout's event. Submitted once more it changes nothing and
/// gets the first answer: what became of the order, and where in the log.
pub(crate) fn placement(
    event_id: EventId,
    cart_id: CartId,
    order_id: OrderId,
    checkout: Checkout,
) -> Submission {
    let cause = Cause::by_id(event_id, CheckoutProcess::NAME);
    let command = order::Command::Place { cart_id, checkout };
    submission(&cause, PLACE, Addressed::to::<Order>(&order_id, command))
}

fn reason(sku: Option<Sku>, code: &str, detail: &str) -> Reason {
    Reason { sku, code: code.to_owned(), detail: detail.to_owned() }
}
