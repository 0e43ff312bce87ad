//! The stored format. Nothing is renamed, ever; the golden files are the judge.

use serde::{Deserialize, Serialize};

use crate::{
    id::{OrderId, ProductId, Sku},
    money::{Currency, Money},
    timestamp::Timestamp,
};

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
