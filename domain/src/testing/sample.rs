//! One of every event with all of its fields, as the golden files hold them; where fields were
//! added, the shape without them, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{NOW, sku, usd, uuid};
use crate::{
    Event, api_key, cart, claim,
    id::{CartId, EventId, OrderId, PaymentId, ProductId, ReservationId, StepId},
    order, payment, process, product,
    sku::{self, Listing},
    stock,
};

/// Of all aggregates.
#[must_use]
pub fn events() -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    all.extend(api_key().into_iter().map(Event::ApiKey));
    all.extend(cart().into_iter().map(Event::Cart));
    all.extend(order().into_iter().map(Event::Order));
    all.extend(payment().into_iter().map(Event::Payment));
    all.extend(process().into_iter().map(Event::Process));
    all.extend(product().into_iter().map(Event::Product));
    all.extend(sku_claim().into_iter().map(Event::Sku));
    all.extend(stock().into_iter().map(Event::Stock));
    all
}

#[must_use]
pub fn api_key() -> Vec<api_key::Event> {
    use api_key::{Event, Role};
    let roles = BTreeSet::from([Role::Customer, Role::Staff, Role::Analyst, Role::Operator]);
    let expires_at = Some(NOW.plus(Duration::from_secs(60)));
    vec![
        Event::Issued { name: "till 1".into(), roles, hash: "ab".repeat(32), expires_at },
        Event::Revoked {},
    ]
}

#[must_use]
pub fn cart() -> Vec<cart::Event> {
    use cart::Event;
    let currency = usd(0).currency;
    let expires_at = NOW.plus(cart::IDLE_MAX);
    vec![
        Event::Created { currency, staff: true, lines: vec![line()], expires_at },
        Event::LineAdded { line: line(), expires_at },
        Event::LineChanged { line: line(), expires_at },
        Event::LineRemoved { sku: line().sku, expires_at },
        Event::LinesReplaced { lines: vec![line()], expires_at },
        Event::CheckedOut { order_id: OrderId::new(uuid(2)), checkout: checkout() },
        Event::CheckoutRefused {
            order_id: OrderId::new(uuid(2)),
            code: "order.exists".into(),
            detail: "another cart was checked out as this order".into(),
            expires_at,
        },
        Event::Abandoned {},
        Event::Ended {},
    ]
}

/// Two at 129 with 8 off.
#[must_use]
pub fn line() -> cart::Line {
    cart::Line {
        sku: sku("A-1"),
        product_id: ProductId::new(uuid(5)),
        name: "Milk 1 l".into(),
        department: Some("DAIRY".into()),
        quantity: 2,
        unit_price: usd(129),
        adjustments: vec![cart::Adjustment {
            kind: "coupon".into(),
            amount: usd(-8),
            reason: "household coupon".into(),
        }],
        total: usd(250),
    }
}

#[must_use]
pub fn checkout() -> cart::Checkout {
    cart::Checkout {
        lines: vec![line()],
        totals: cart::Totals { subtotal: usd(258), discount: usd(8), total: usd(250) },
        channel: cart::Channel::Web,
        placed_at: NOW,
        method_token: "tok_ok".into(),
        customer_reference: Some("household-1".into()),
        email: Some("ada@example.com".into()),
        shipping_address: Some(address()),
    }
}

#[must_use]
pub fn address() -> cart::Address {
    cart::Address {
        name: "Ada Example".into(),
        line1: "1 Main Street".into(),
        line2: Some("Flat 2".into()),
        city: "Springfield".into(),
        region: Some("IL".into()),
        postal_code: Some("62701".into()),
        country: "US".into(),
    }
}

#[must_use]
pub fn order() -> Vec<order::Event> {
    use order::{Event, Reason};
    let reason = Reason {
        sku: Some(sku("A-1")),
        code: "stock.insufficient".into(),
        detail: "only 1 available".into(),
    };
    vec![
        Event::Placed { cart_id: CartId::new(uuid(1)), checkout: checkout() },
        Event::StockReserved {},
        Event::Confirmed { payment_id: PaymentId::new(uuid(3)), paid: usd(250) },
        Event::Rejected { reasons: vec![reason] },
    ]
}

#[must_use]
pub fn payment() -> Vec<payment::Event> {
    use payment::Event;
    let order_id = OrderId::new(uuid(2));
    let amount = usd(250);
    vec![
        Event::Requested {
            order_id,
            amount,
            provider: "sandbox".into(),
            method_token: "tok_ok".into(),
            expires_at: NOW.plus(payment::ANSWER_WAIT),
            ask_again_at: None,
        },
        Event::Requested {
            order_id,
            amount,
            provider: "sandbox".into(),
            method_token: "tok_ok".into(),
            expires_at: NOW.plus(payment::ANSWER_WAIT),
            ask_again_at: Some(NOW.plus(payment::ASK_AGAIN_AFTER)),
        },
        Event::AskedAgain { attempt: 2, ask_again_at: Some(NOW.plus(Duration::from_secs(30))) },
        Event::ActionRequired {
            reference: "pay_1".into(),
            expires_at: NOW.plus(payment::ACTION_WAIT),
        },
        Event::Authorised { order_id, amount, reference: "pay_1".into() },
        Event::Declined {
            order_id,
            code: "card_declined".into(),
            detail: "The card was declined.".into(),
        },
        Event::Expired { order_id },
        Event::Voided { reason: "order_rejected".into() },
    ]
}

#[must_use]
pub fn process() -> Vec<process::Event> {
    use process::{Event, Failure};
    let step_id = StepId::new(uuid(6));
    let failure = Failure {
        code: "stream_unreadable".into(),
        detail: "the stream holds an event that this release cannot read".into(),
    };
    let by: String = "key:00000000-0000-0000-0000-000000000001".into();
    vec![
        Event::StepParked {
            step_id,
            step: Box::new(step()),
            failure: failure.clone(),
            attempt: 0,
            parked_at: NOW,
            taken: vec![],
        },
        Event::StepParked {
            step_id,
            step: Box::new(step()),
            failure,
            attempt: 0,
            parked_at: NOW,
            taken: taken(),
        },
        Event::StepRetried { step_id, attempt: 1, by: by.clone() },
        Event::StepSkipped { step_id, reason: "sold out anyway".into(), by },
        Event::EventSettled { event_id: step().event_id },
    ]
}

/// A step that was done beside [`step`], and one that was refused.
#[must_use]
pub fn taken() -> Vec<process::Taken> {
    let refused =
        process::Failure { code: "stock.insufficient".into(), detail: "only 1 available".into() };
    vec![
        process::Taken { step_id: StepId::new(uuid(8)), refused: None },
        process::Taken { step_id: StepId::new(uuid(9)), refused: Some(refused) },
    ]
}

#[must_use]
pub fn step() -> process::Step {
    process::Step {
        process: "checkout".into(),
        name: "reserve A-1".into(),
        target: Some(sku("A-1").stock_stream()),
        event_id: EventId::new(uuid(7)),
        event_type: "tradewind.order.placed.v1".into(),
        stream: OrderId::new(uuid(2)).stream(),
        shard: 3,
        epoch: 17,
        offset: 40,
        offset_end: 42,
    }
}

#[must_use]
pub fn product() -> Vec<product::Event> {
    use product::Event;
    vec![
        Event::Created { sku: sku("A-1"), details: details(), price: usd(129) },
        Event::Updated { details: details() },
        Event::PriceChanged { price: usd(149) },
        Event::Published {},
        Event::Unpublished {},
        Event::Archived { reason: None },
        Event::Archived { reason: Some("another product has its SKU".into()) },
    ]
}

#[must_use]
pub fn details() -> product::Details {
    product::Details {
        name: "Milk 1 l".into(),
        description: Some("Whole milk".into()),
        department: Some("DAIRY".into()),
        category: Some("MILK".into()),
        product_type: Some("WHOLE MILK".into()),
        brand: Some("National".into()),
        attributes: BTreeMap::from([("fat".into(), "3.5 %".into()), ("litres".into(), 1.into())]),
    }
}

#[must_use]
pub fn sku_claim() -> Vec<sku::Event> {
    use sku::Event;
    let product_id = ProductId::new(uuid(5));
    vec![
        Event::Claimed { product_id, expires_at: None },
        Event::Claimed { product_id, expires_at: Some(NOW.plus(claim::CONFIRM_WAIT)) },
        Event::Confirmed { product_id },
        Event::Listed { listing: listing() },
        Event::Delisted { product_revision: 3 },
        Event::Withdrawn { product_id },
        Event::Released { product_id },
        Event::Lapsed { product_id },
        Event::Expired { product_id },
    ]
}

/// Of the product that `line` sells.
#[must_use]
pub fn listing() -> Listing {
    Listing {
        product_id: ProductId::new(uuid(5)),
        name: "Milk 1 l".into(),
        department: Some("DAIRY".into()),
        price: usd(129),
        product_revision: 2,
    }
}

#[must_use]
pub fn stock() -> Vec<stock::Event> {
    use stock::Event;
    let reservation_id = ReservationId::new(uuid(4));
    let order_id = OrderId::new(uuid(2));
    let expires_at = NOW.plus(stock::HOLD);
    vec![
        Event::Received { quantity: 5, reference: Some("delivery 7".into()) },
        Event::Adjusted { delta: -1, reason: "count".into() },
        Event::Reserved { reservation_id, order_id, quantity: 2, expires_at },
        Event::Released { reservation_id, quantity: 2, reason: "order_rejected".into() },
        Event::Committed { reservation_id, quantity: 2 },
        Event::Returned { reservation_id, quantity: 2 },
        Event::Expired { reservation_id, quantity: 2 },
    ]
}
