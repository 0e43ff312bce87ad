//! Steps that an operator skips: refused, unless somebody else has done them meanwhile.

use domain::{
    Event,
    cart::{self, Cart, Channel, NewLine, Status as CartStatus, Terms},
    envelope::Recorded,
    id::CartId,
    money::Currency,
    order::{self, Order, Status},
    testing::{self, sample::listing},
};
use serde_json::json;
use uuid::Uuid;

use super::rig::{ORDER, Rig, agreed, milk, parked, skipped, tea};
use crate::testing::recorded;

const CART: CartId = CartId::new(Uuid::from_u128(1));

fn checked_out(checkout: cart::Checkout) -> Recorded {
    let data = json!({ "order_id": ORDER, "checkout": checkout });
    let event = testing::event::<Cart>("checked_out", data);
    recorded(CART.stream(), 2, Event::Cart(event))
}

fn place(checkout: cart::Checkout) -> order::Command {
    order::Command::Place { cart_id: CART, checkout }
}

async fn cart(rig: &Rig) -> cart::Cart {
    let cart = rig.read::<Cart>(&CART).await;
    (*cart).clone()
}

async fn check_out(rig: &Rig) -> cart::Checkout {
    let terms = Terms {
        channel: Channel::Web,
        occurred_at: None,
        method_token: "tok_ok".to_owned(),
        customer_reference: None,
        email: agreed().email,
        shipping_address: agreed().shipping_address,
        accept_price_changes: false,
        order_exists: false,
        listings: vec![(tea(), Some(listing()))],
    };
    let command = cart::Command::CheckOut { order_id: ORDER, terms };
    rig.submit::<Cart>(&CART, command).await;
    cart(rig).await.checkout().unwrap()
}

/// A cart with a unit of tea that was checked out; what was agreed.
async fn checked_out_cart() -> (Rig, cart::Checkout) {
    let rig = Rig::start();
    let line = NewLine { sku: tea(), quantity: 1, adjustments: vec![], listing: Some(listing()) };
    let create = cart::Command::Create { currency: Currency::USD, staff: false, lines: vec![line] };
    rig.submit::<Cart>(&CART, create).await;
    let checkout = check_out(&rig).await;
    (rig, checkout)
}

#[tokio::test]
async fn a_skipped_order_that_stands_leaves_its_cart_checked_out() {
    let (rig, checkout) = checked_out_cart().await;
    let order = ORDER.stream();
    let event = checked_out(checkout.clone());
    rig.run(&event, &parked("place", &order)).await.expect("it waits");
    // The client tries again, and its handler places the order.
    rig.submit::<Order>(&ORDER, place(checkout)).await;
    assert_eq!(rig.run(&event, &skipped("place", &order)).await, None);
    let cart = cart(&rig).await;
    assert_eq!((cart.status, cart.refusal), (CartStatus::CheckedOut, None));
    assert_eq!(rig.order().await.status, Status::Pending);
}

#[tokio::test]
async fn a_skipped_order_that_does_not_stand_opens_its_cart_and_only_once() {
    let (rig, checkout) = checked_out_cart().await;
    let order = ORDER.stream();
    let event = checked_out(checkout);
    let skipped = skipped("place", &order);
    assert_eq!(rig.run(&event, &skipped).await, None);
    let refused = cart(&rig).await;
    assert_eq!(refused.status, CartStatus::Open);
    assert_eq!(refused.refusal.unwrap().code, "step.skipped");
    // The buyer checks out once more; then the first checkout comes again, days later.
    rig.clock.advance(tokio::time::Duration::from_hours(25));
    let again = check_out(&rig).await;
    rig.submit::<Order>(&ORDER, place(again)).await;
    assert_eq!(rig.run(&event, &skipped).await, None);
    assert_eq!(cart(&rig).await.status, CartStatus::CheckedOut);
}

#[tokio::test]
async fn a_skipped_reservation_that_stands_counts_as_done() {
    for (held, reserved) in [(true, true), (false, false)] {
        let rig = Rig::start();
        for sku in [tea(), milk()] {
            rig.receive(&sku, 5).await;
        }
        rig.submit::<Order>(&ORDER, place(agreed())).await;
        if held {
            rig.reserve(&tea(), ORDER, 2).await;
        }
        let placed = order::Event::Placed { cart_id: CART, checkout: agreed() };
        let event = recorded(ORDER.stream(), 1, Event::Order(placed));
        let skipped = skipped("reserve tea", &tea().stock_stream());
        assert_eq!(rig.run(&event, &skipped).await, None);
        let order = rig.order().await;
        assert_eq!(order.stock_reserved, reserved, "held: {held}");
        assert_eq!(order.status == Status::Rejected, !reserved, "held: {held}");
    }
}
