//! What the checkout process tells orders, payments and stocks, and under which ids. Their names and ids
//! are for ever: a step is known again by them.

use domain::{
    cart::{Checkout, Line},
    id::{CartId, OrderId, PaymentId, ReservationId, Sku},
    order::{self, Order, Reason},
    payment::{self, Payment},
    stock::{self, Stock},
};

use super::super::plan::Step;

/// Why something is taken back.
const REJECTED: &str = "order rejected";

pub(super) const PLACE: &str = "place";

pub(super) fn place(cart_id: CartId, order_id: OrderId, checkout: Checkout) -> Step {
    submit_order(PLACE, order_id, order::Command::Place { cart_id, checkout })
}

/// The payment of an order.
pub(crate) fn payment_of(order_id: OrderId) -> PaymentId {
    PaymentId::new(order_id.derive("payment"))
}

pub(in crate::process) fn reservation(order_id: OrderId, sku: &Sku) -> ReservationId {
    ReservationId::new(order_id.derive(sku.as_str()))
}

pub(super) fn reject(order_id: OrderId, reasons: Vec<Reason>) -> Step {
    submit_order("reject", order_id, order::Command::Reject { reasons })
}

pub(super) fn void(payment_id: PaymentId) -> Step {
    let reason = REJECTED.to_owned();
    submit_payment("void", payment_id, payment::Command::Void { reason })
}

pub(super) fn reserve(order_id: OrderId, line: &Line) -> Step {
    let (reservation_id, quantity) = (reservation(order_id, &line.sku), line.quantity);
    let command = stock::Command::Reserve { reservation_id, order_id, quantity };
    submit_stock("reserve", &line.sku, command)
}

pub(super) fn release(order_id: OrderId, sku: &Sku) -> Step {
    let (reservation_id, reason) = (reservation(order_id, sku), REJECTED.to_owned());
    submit_stock("release", sku, stock::Command::Release { reservation_id, reason })
}

pub(super) fn commit(order_id: OrderId, sku: &Sku) -> Step {
    let reservation_id = reservation(order_id, sku);
    submit_stock("commit", sku, stock::Command::Commit { reservation_id })
}

pub(super) fn put_back(order_id: OrderId, sku: &Sku, quantity: u32) -> Step {
    let reservation_id = reservation(order_id, sku);
    submit_stock("put back", sku, stock::Command::Return { reservation_id, quantity })
}

pub(super) fn submit_order(name: &str, order_id: OrderId, command: order::Command) -> Step {
    Step::submit::<Order>(name, &order_id, command)
}

pub(super) fn submit_payment(name: &str, payment_id: PaymentId, command: payment::Command) -> Step {
    Step::submit::<Payment>(name, &payment_id, command)
}

/// One event may ask for the same of several SKUs.
fn submit_stock(name: &str, sku: &Sku, command: stock::Command) -> Step {
    Step::submit::<Stock>(format!("{name} {sku}"), sku, command)
}
