//! Values with all of their fields, of which the samples of events are made.

use std::collections::BTreeMap;

use super::{NOW, sku, usd, uuid};
use crate::{
    cart,
    id::{EventId, OrderId, ProductId, StepId},
    process, product,
    sku::Listing,
};

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
