//! What can be asked of a cart. Whoever sends a line has looked up its listing: a cart knows no
//! catalogue.

use serde::{Deserialize, Serialize};

use crate::{
    cart::{Address, Adjustment, Channel, Checkout},
    id::{OrderId, Sku},
    money::Currency,
    sku::Listing,
    timestamp::Timestamp,
};

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
