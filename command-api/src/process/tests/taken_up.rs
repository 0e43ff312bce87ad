//! Events that are taken up again when the engine has forgotten what was done of them: a step was parked
//! for days, or a follower stood still.

use domain::{
    Event,
    envelope::Recorded,
    id::{CartId, OrderId, PaymentId, Sku, StepId},
    order::{self, Order, Status},
    payment::{self, Payment},
    process::Process,
    stock, testing,
};
use serde_json::json;
use tokio::time::Duration;
use uuid::Uuid;

use super::rig::{ORDER, Rig, agreed, milk, parked, retried, tea};
use crate::{
    process::checkout::{payment_of, reservation},
    testing::recorded,
};

/// Longer than the engine knows a command id.
const DAYS: Duration = Duration::from_hours(25);

fn payment_id() -> PaymentId {
    payment_of(ORDER)
}

fn authorised() -> Recorded {
    let (order_id, amount) = (ORDER, agreed().totals.total);
    let data = json!({ "order_id": order_id, "amount": amount, "reference": "r" });
    let event = testing::event::<Payment>("authorised", data);
    recorded(payment_id().stream(), 2, Event::Payment(event))
}

/// An order that is paid and waits for its goods. There are five units of each; those of these are
/// still held for it.
async fn paid_order(held: &[Sku]) -> Rig {
    let rig = Rig::start();
    let checkout = agreed();
    let (amount, method_token) = (checkout.totals.total, checkout.method_token.clone());
    let place = order::Command::Place { cart_id: CartId::new(Uuid::nil()), checkout };
    rig.submit::<Order>(&ORDER, place).await;
    for sku in [tea(), milk()] {
        rig.receive(&sku, 5).await;
    }
    for sku in held {
        rig.reserve(sku, ORDER, 2).await;
    }
    rig.submit::<Order>(&ORDER, order::Command::RecordStockReserved).await;
    let provider = "sandbox".to_owned();
    let request = payment::Command::Request { order_id: ORDER, amount, provider, method_token };
    let authorise = payment::Command::RecordAuthorisation { reference: "r".to_owned() };
    for command in [request, authorise] {
        rig.submit::<Payment>(&payment_id(), command).await;
    }
    rig
}

/// More orders of others come to nothing than a stock remembers.
async fn be_busy(rig: &Rig, sku: &Sku) {
    for n in 1_000..1_040 {
        let order_id = OrderId::new(Uuid::from_u128(n));
        rig.reserve(sku, order_id, 1).await;
        let reservation_id = reservation(order_id, sku);
        let reason = "order rejected".to_owned();
        rig.tell_stock(sku, stock::Command::Release { reservation_id, reason }).await;
    }
}

#[tokio::test]
async fn units_are_put_back_once_although_what_follows_is_done_days_later() {
    for told in [true, false] {
        let rig = paid_order(&[tea()]).await;
        let payment = payment_id().stream();
        let waits = parked("void", &payment);
        let taken = rig.run(&authorised(), &waits).await.expect("it cannot be voided");
        assert_eq!(rig.stock(&tea()).await.on_hand(), 5, "put back");

        rig.clock.advance(DAYS);
        // Without what was told it is as if the event came again to a follower that stood still.
        let again = if told { retried("void", &payment, taken) } else { Process::default() };
        assert_eq!(rig.run(&authorised(), &again).await, None);
        assert_eq!(rig.order().await.status, Status::Rejected);
        for sku in [tea(), milk()] {
            assert_eq!(rig.stock(&sku).await.on_hand(), 5, "{sku}, told: {told}");
        }
    }
}

#[tokio::test]
async fn what_was_taken_for_an_order_is_known_when_it_is_confirmed_days_later() {
    let rig = paid_order(&[tea(), milk()]).await;
    let order = ORDER.stream();
    let waits = parked("confirm", &order);
    let taken = rig.run(&authorised(), &waits).await.expect("it cannot be confirmed");
    be_busy(&rig, &tea()).await;
    rig.clock.advance(DAYS);

    assert_eq!(rig.run(&authorised(), &retried("confirm", &order, taken)).await, None);
    assert_eq!(rig.order().await.status, Status::Confirmed);
    assert_eq!(rig.stock(&tea()).await.on_hand(), 3);
}

#[tokio::test]
async fn what_a_busy_stock_has_forgotten_is_put_back_days_later() {
    let rig = paid_order(&[tea()]).await;
    let stock = tea().stock_stream();
    let waits = parked("put back tea", &stock);
    let taken = rig.run(&authorised(), &waits).await.expect("it cannot be put back");
    assert_eq!(rig.stock(&tea()).await.on_hand(), 3);
    be_busy(&rig, &tea()).await;
    rig.clock.advance(DAYS);

    assert_eq!(rig.run(&authorised(), &retried("put back tea", &stock, taken)).await, None);
    assert_eq!(rig.order().await.status, Status::Rejected);
    assert_eq!(rig.stock(&tea()).await.on_hand(), 5);
}

#[tokio::test]
async fn a_step_that_waits_for_an_operator_keeps_what_has_become_of_the_others() {
    let rig = paid_order(&[tea(), milk()]).await;
    let (event, tea_stock) = (authorised(), tea().stock_stream());
    rig.park(&event, "commit tea", &tea_stock).await;
    rig.deliver(&event).await;
    assert_eq!(rig.stock(&milk()).await.on_hand(), 3, "taken");

    let process = rig.parked(&event).await;
    let step = |name: &str, target| StepId::of(event.id, name, Some(target));
    let waits = process.step(step("commit tea", &tea_stock)).expect("it waits");
    let taken: Vec<StepId> = waits.taken.iter().map(|taken| taken.step_id).collect();
    assert_eq!(taken, [step("commit milk", &milk().stock_stream())]);
}
