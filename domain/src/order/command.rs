//! What can be asked of an order; process managers ask it.

use serde::{Deserialize, Serialize};

use crate::{
    cart::Checkout,
    id::{CartId, PaymentId},
    money::Money,
    order::Reason,
};

#[expect(clippy::large_enum_variant, reason = "passed on, never kept in numbers")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Place { cart_id: CartId, checkout: Checkout },
    RecordStockReserved,
    Confirm { payment_id: PaymentId, paid: Money },
    Reject { reasons: Vec<Reason> },
}
