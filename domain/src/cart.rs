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

use schemars::JsonSchema;
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A cart was begun.
    Created {
        /// Of all its prices.
        currency: Currency,
        /// Made by staff: its lines may carry adjustments and it may check out at the till.
        staff: bool,
        /// What lay in it from the start.
        lines: Vec<Line>,
        /// When the cart is abandoned unless it changes before.
        expires_at: Timestamp,
    },
    /// A line of a SKU that was not in the cart.
    LineAdded {
        /// As it lies in the cart.
        line: Line,
        /// When the cart is abandoned unless it changes before.
        expires_at: Timestamp,
    },
    /// The line of this SKU as it is from now on.
    LineChanged {
        /// As it lies in the cart.
        line: Line,
        /// When the cart is abandoned unless it changes before.
        expires_at: Timestamp,
    },
    /// A line was taken out.
    LineRemoved {
        /// What it was of.
        sku: Sku,
        /// When the cart is abandoned unless it changes before.
        expires_at: Timestamp,
    },
    /// Other lines lie in the cart from now on.
    LinesReplaced {
        /// All of them.
        lines: Vec<Line>,
        /// When the cart is abandoned unless it changes before.
        expires_at: Timestamp,
    },
    /// The cart became an order.
    CheckedOut {
        /// The order that it became.
        order_id: OrderId,
        /// What was agreed.
        checkout: Checkout,
    },
    /// The order could not be placed: the cart is open again.
    CheckoutRefused {
        /// The order that it did not become.
        order_id: OrderId,
        /// Why, for machines.
        code: String,
        /// Why, for people.
        detail: String,
        /// When the cart is abandoned unless it changes before.
        expires_at: Timestamp,
    },
    /// Nobody touched it for too long.
    Abandoned {},
    /// A guest's cart that became an order a while ago.
    Ended {},
}

/// A line with what was shown to the buyer when it was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What is bought.
    pub sku: Sku,
    /// The product that had the code then.
    pub product_id: ProductId,
    /// As the catalogue called it then.
    pub name: String,
    /// Where the catalogue had it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// How many.
    pub quantity: u32,
    /// Of one.
    pub unit_price: Money,
    /// What changes the total, in the order in which it was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
    /// `quantity * unit_price` and all adjustments, never below zero.
    pub total: Money,
}

/// A signed change of a line's total: a discount is negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// Such as `coupon`.
    pub kind: String,
    /// What is added to the line's total.
    pub amount: Money,
    /// As staff typed it.
    pub reason: String,
}

/// What was agreed at the checkout: all that the order needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkout {
    /// What is bought, as it is sold.
    pub lines: Vec<Line>,
    /// Of all lines.
    pub totals: Totals,
    /// Where it was bought.
    pub channel: Channel,
    /// When the sale took place: at a till that may be before it was recorded.
    pub placed_at: Timestamp,
    /// The provider's word for the means of payment, or `cash`.
    pub method_token: String,
    /// What the seller calls the buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_reference: Option<String>,
    /// Of the buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Sum of `quantity * unit_price`.
    pub subtotal: Money,
    /// What the adjustments took off: `subtotal - total`.
    pub discount: Money,
    /// What is to be paid.
    pub total: Money,
}

/// Where an order was placed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Of who receives it.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// What does not fit the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City or town.
    pub city: String,
    /// State, province or county.
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
