//! Why a command on a cart is refused, in words for the client.

use crate::{
    aggregate::{Refusal, RejectionKind},
    cart::Status,
    id::Sku,
    money::{Currency, Money},
};

/// Lines of a cart; more are refused.
pub const LINES_MAX: usize = 500;

/// Minor units that a line can amount to; more is refused.
pub const LINE_AMOUNT_MAX: i64 = 1_000_000_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no cart with this id")]
    NotFound,
    #[error("the cart has no line with SKU {0}")]
    LineNotFound(Sku),

    #[error("a cart with this id exists and holds something else: use another id")]
    Exists,
    #[error("the cart is {} and changes no more: create a new one", .status.as_str().replace('_', " "))]
    NotOpen { status: Status },
    #[error(
        "the price of SKU {sku} was {} when it was added and is now {} ({}, minor units): \
         check out with accept_price_changes to take it",
        shown.amount, current.amount, current.currency
    )]
    PriceChanged { sku: Sku, shown: Money, current: Money },
    #[error(
        "SKU {0} belongs to another product than when it was added: remove the line and add it again"
    )]
    ProductReplaced(Sku),

    #[error("another cart was checked out as this order: use another order_id")]
    OrderExists,

    #[error("SKU {0} cannot be sold: there is no published product with it")]
    SkuNotSellable(Sku),
    #[error("the quantity of SKU {sku} must be 1 to {max}")]
    Quantity { sku: Sku, max: u32 },
    #[error("a cart has at most {LINES_MAX} lines")]
    TooManyLines,
    #[error("the lines and their adjustments carry too much text: shorten or split them")]
    TooLarge,
    #[error("only a cart made by staff can carry adjustments")]
    AdjustmentsNotAllowed,
    #[error("the cart is in {currency}, and an amount of the line of SKU {sku} is not")]
    CurrencyDiffers { sku: Sku, currency: Currency },
    #[error("the adjustments of SKU {0} take off more than the line is worth")]
    TotalNegative(Sku),
    #[error("the amounts of the line of SKU {0} go beyond {LINE_AMOUNT_MAX} minor units")]
    AmountTooLarge(Sku),

    #[error("the cart is empty: add a line before checking out")]
    Empty,
    #[error("email is needed to check out")]
    EmailMissing,
    #[error("shipping_address is needed to check out")]
    ShippingAddressMissing,
    #[error("payment.method_token is needed to check out")]
    MethodTokenMissing,
    #[error("cash can only be taken at the till: use channel pos or another method_token")]
    CashNeedsTill,
    #[error("only a cart made by staff can check out at the till")]
    TillNeedsStaff,
    #[error("occurred_at is for channel pos only: leave it out")]
    OccurredAtNotAllowed,
    #[error("occurred_at must not lie in the future")]
    OccurredAtInFuture,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "cart.not_found"),
            Self::LineNotFound(_) => (NotFound, "cart.line_not_found"),
            Self::Exists => (Conflict, "cart.exists"),
            Self::NotOpen { .. } => (Conflict, "cart.not_open"),
            Self::PriceChanged { .. } => (Conflict, "cart.price_changed"),
            Self::ProductReplaced(_) => (Conflict, "cart.product_replaced"),
            // As the order itself says it.
            Self::OrderExists => (Conflict, "order.exists"),
            // Named so by the outside contract.
            Self::SkuNotSellable(_) => (Rule, "sku_not_sellable"),
            Self::Quantity { .. } => (Rule, "cart.quantity"),
            Self::TooManyLines => (Rule, "cart.too_many_lines"),
            Self::TooLarge => (Rule, "cart.too_large"),
            Self::AdjustmentsNotAllowed => (Rule, "cart.adjustments_not_allowed"),
            Self::CurrencyDiffers { .. } => (Rule, "cart.currency_differs"),
            Self::TotalNegative(_) => (Rule, "cart.total_negative"),
            Self::AmountTooLarge(_) => (Rule, "cart.amount_too_large"),
            Self::Empty => (Rule, "cart.empty"),
            Self::EmailMissing => (Rule, "cart.email_missing"),
            Self::ShippingAddressMissing => (Rule, "cart.shipping_address_missing"),
            Self::MethodTokenMissing => (Rule, "cart.method_token_missing"),
            Self::CashNeedsTill => (Rule, "cart.cash_needs_till"),
            Self::TillNeedsStaff => (Rule, "cart.till_needs_staff"),
            Self::OccurredAtNotAllowed => (Rule, "cart.occurred_at_not_allowed"),
            Self::OccurredAtInFuture => (Rule, "cart.occurred_at_in_future"),
        }
    }
}
