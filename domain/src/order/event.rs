//! The stored format. Nothing is renamed, ever; the golden files are the judge.

use serde::{Deserialize, Serialize};

use crate::{
    cart::Checkout,
    id::{CartId, PaymentId, Sku},
    money::Money,
};

#[expect(clippy::large_enum_variant, reason = "passed on, never kept in numbers")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    Placed {
        cart_id: CartId,
        #[serde(flatten)]
        checkout: Checkout,
    },
    /// Every line is held in stock; the payment may begin.
    StockReserved {},
    Confirmed {
        payment_id: PaymentId,
        paid: Money,
    },
    Rejected {
        reasons: Vec<Reason>,
    },
}

/// Why an order was rejected; with a SKU where one line is to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    pub code: String,
    pub detail: String,
}
