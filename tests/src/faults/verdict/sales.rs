//! What was acknowledged holds above single streams, too: once all is at rest, every checkout has come
//! to an order or to a refusal that the client can see, what was sold was taken from stock, nothing is
//! held for an order that came to nothing, and no step of a process is lost.

use std::collections::BTreeMap;

use super::fold::Fold;
use crate::faults::action::Action;
use crate::faults::history::Command;

pub(super) fn check(commands: &[Command], fold: &Fold, violations: &mut Vec<String>) {
    check_acknowledged(commands, fold, violations);
    check_carts(fold, violations);
    check_orders(fold, violations);
    check_units(fold, violations);
    let parked = fold.parked.keys();
    violations.extend(parked.map(|step| format!("step {step} of a process is parked")));
}

/// The client was told that its cart is to become an order: it did, or the cart tells why not.
fn check_acknowledged(commands: &[Command], fold: &Fold, violations: &mut Vec<String>) {
    for command in commands {
        let Action::CheckOut { cart, order, .. } = &command.action else { continue };
        if command.answer.as_ref().is_none_or(|answer| answer.status != 202) {
            // What comes of checkouts that were refused, or not answered, is for `check_carts`.
            continue;
        }
        let (cart, order) = (cart.to_string(), order.to_string());
        let is_placed = fold.orders.get(&order).is_some_and(|it| it.cart == cart);
        let refused = fold.carts.get(&cart).map_or(&[][..], |it| it.refused.as_slice());
        let is_refused = refused.iter().any(|(id, code)| *id == order && !code.is_empty());
        if is_placed == is_refused {
            violations.push(format!(
                "a checkout was acknowledged, and its order is placed: {is_placed}, refused: \
                 {is_refused}: {command:?}"
            ));
        }
    }
}

/// Also of checkouts whose answer nobody got.
fn check_carts(fold: &Fold, violations: &mut Vec<String>) {
    for (id, cart) in fold.carts.iter().filter(|(_, cart)| cart.standing == 1) {
        let order = fold.orders.get(&cart.order);
        if order.is_none_or(|order| order.cart != *id) {
            let order = &cart.order;
            violations.push(format!("cart/{id}: checked out, and order {order} is not its own"));
        }
    }
}

fn check_orders(fold: &Fold, violations: &mut Vec<String>) {
    for (id, order) in &fold.orders {
        if order.status == "pending" {
            violations.push(format!("order/{id}: neither confirmed nor rejected at rest"));
        }
        let cart = fold.carts.get(&order.cart);
        if cart.is_none_or(|cart| cart.standing == 0 || cart.order != *id) {
            violations.push(format!("order/{id}: placed for cart {}, which says no", order.cart));
        }
    }
    for (payment, order) in &fold.held {
        let status = fold.orders.get(order).map_or("not there", |order| order.status);
        if status != "confirmed" {
            violations
                .push(format!("payment/{payment}: held for order {order}, which is {status}"));
        }
    }
}

fn check_units(fold: &Fold, violations: &mut Vec<String>) {
    let mut sold = BTreeMap::<&str, i64>::new();
    for order in fold.orders.values().filter(|order| order.status == "confirmed") {
        for (sku, quantity, _) in &order.lines {
            *sold.entry(sku).or_default() += quantity;
        }
    }
    for (sku, states) in &fold.stocks {
        let sold = sold.remove(sku.as_str()).unwrap_or_default();
        let taken = fold.taken.get(sku).copied().unwrap_or_default();
        if sold != taken {
            violations.push(format!("stock/{sku}: {sold} units confirmed, {taken} taken"));
        }
        let reserved = states.last().map_or(0, |stock| stock.reserved);
        if reserved != 0 {
            violations.push(format!("stock/{sku}: {reserved} units held at rest for nobody"));
        }
    }
    let nowhere = sold.into_iter().filter(|(_, units)| *units != 0);
    violations.extend(nowhere.map(|(sku, units)| format!("{units} units of {sku}: no stock")));
}

#[cfg(test)]
mod tests;
