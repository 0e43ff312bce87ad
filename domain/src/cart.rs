//! A cart: lines with the prices that were shown, until it is checked out or abandoned.
//!
//! Whoever sends a line has looked up its listing: a cart knows no catalogue.

mod checkout;
mod decide;
mod line;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Aggregate,
    id::{CartId, OrderId, ProductId, Sku, StreamId},
    money::{Currency, Money},
    personal::{Texts, texts},
    sku::Listing,
    timestamp::Timestamp,
};

pub use decide::{GUEST_IDLE_MAX, GUEST_KEPT, IDLE_MAX};
pub use line::{GUEST_QUANTITY_MAX, LINES_BYTES_MAX, QUANTITY_MAX};
pub use rejection::{LINE_AMOUNT_MAX, LINES_MAX, Rejection};
pub use state::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Create {
        currency: Currency,
        staff: bool,
        lines: Vec<NewLine>,
    },
    /// Adds to the quantity of a line that is already there.
    AddLine {
        line: NewLine,
    },
    /// Sets quantity and adjustments (`None` keeps them); quantity 0 removes the line.
    ChangeLine {
        sku: Sku,
        quantity: u32,
        adjustments: Option<Vec<Adjustment>>,
    },
    RemoveLine {
        sku: Sku,
    },
    ReplaceLines {
        lines: Vec<NewLine>,
    },
    CheckOut {
        order_id: OrderId,
        terms: Terms,
    },
    /// The order that the cart was to become could not be placed, of which this was agreed.
    RefuseCheckout {
        order_id: OrderId,
        checkout: Box<Checkout>,
        code: String,
        detail: String,
    },
    /// Time has come: abandons a cart that nobody touched.
    Expire,
}

/// A line as asked for, with the listing as it is now; `None` if the SKU cannot be sold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewLine {
    pub sku: Sku,
    pub quantity: u32,
    pub adjustments: Vec<Adjustment>,
    pub listing: Option<Listing>,
}

/// The buyer's side of a checkout, and the listings of all lines as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    pub channel: Channel,
    /// When the sale took place, where it was recorded later (point of sale only).
    pub occurred_at: Option<Timestamp>,
    pub method_token: String,
    pub customer_reference: Option<String>,
    pub email: Option<String>,
    pub shipping_address: Option<Address>,
    pub accept_price_changes: bool,
    /// Another cart has become the order that is to be placed.
    pub order_exists: bool,
    pub listings: Vec<(Sku, Option<Listing>)>,
}

/// The stored format. Nothing is renamed, ever; the golden files are the judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    Created {
        currency: Currency,
        /// Made by staff: its lines may carry adjustments and it may check out at the till.
        staff: bool,
        lines: Vec<Line>,
        /// When the cart is abandoned unless it changes before; likewise below.
        expires_at: Timestamp,
    },
    /// A line of a SKU that was not in the cart.
    LineAdded {
        line: Line,
        expires_at: Timestamp,
    },
    /// The line of this SKU as it is from now on.
    LineChanged {
        line: Line,
        expires_at: Timestamp,
    },
    LineRemoved {
        sku: Sku,
        expires_at: Timestamp,
    },
    LinesReplaced {
        lines: Vec<Line>,
        expires_at: Timestamp,
    },
    CheckedOut {
        order_id: OrderId,
        checkout: Checkout,
    },
    /// The order could not be placed: the cart is open again.
    CheckoutRefused {
        order_id: OrderId,
        code: String,
        detail: String,
        expires_at: Timestamp,
    },
    /// Nobody touched it for too long.
    Abandoned {},
    /// A guest's cart that became an order a while ago.
    Ended {},
}

/// A line with what was shown to the buyer when it was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub sku: Sku,
    pub product_id: ProductId,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    pub quantity: u32,
    pub unit_price: Money,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
    /// `quantity * unit_price` and all adjustments, never below zero.
    pub total: Money,
}

/// A signed change of a line's total: a discount is negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    pub kind: String,
    pub amount: Money,
    pub reason: String,
}

/// What was agreed at the checkout: all that the order needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    pub lines: Vec<Line>,
    pub totals: Totals,
    pub channel: Channel,
    pub placed_at: Timestamp,
    pub method_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of `quantity * unit_price`.
    pub subtotal: Money,
    /// What the adjustments took off: `subtotal - total`.
    pub discount: Money,
    pub total: Money,
}

/// Where an order was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Web,
    Pos,
}

impl Channel {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Pos => "pos",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    pub name: String,
    pub line1: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    pub city: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Not all countries have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

impl Aggregate for Cart {
    const NAME: &'static str = "cart";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "cfaaa16ca2883b6d";
    const TEXTS: &'static [Texts] = texts! {
        "abandoned": [] [];
        "checked_out": ["checkout.customer_reference", "checkout.email", "checkout.method_token",
            "checkout.shipping_address", "checkout.lines.adjustments"]
            ["checkout.channel", "checkout.lines.department", "checkout.lines.name",
            "checkout.shipping_address.country"];
        "checkout_refused": ["detail"] ["code"];
        "created": ["lines.adjustments"] ["lines.department", "lines.name"];
        "ended": [] [];
        "line_added": ["line.adjustments"] ["line.department", "line.name"];
        "line_changed": ["line.adjustments"] ["line.department", "line.name"];
        "line_removed": [] [];
        "lines_replaced": ["lines.adjustments"] ["lines.department", "lines.name"];
    };

    type Id = CartId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::testing::{
            NOW,
            sample::{checkout, line},
            usd, uuid,
        };
        let currency = usd(0).currency;
        let expires_at = NOW.plus(IDLE_MAX);
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
}

impl CartId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<Cart>(&self)
    }
}
