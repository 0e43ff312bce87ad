//! The documents that go out as the projector made them, for the contract.

use utoipa::ToSchema;
use uuid::Uuid;

use crate::read_model::Money;

#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct Cart {
    id: Uuid,
    /// `open` or `checked_out`.
    #[schema(example = "open")]
    status: String,
    #[schema(example = "USD")]
    currency: String,
    /// Made by staff: its lines may carry adjustments.
    staff: bool,
    lines: Vec<Line>,
    totals: CartTotals,
    /// Once it is checked out.
    order_id: Option<Uuid>,
    /// Why its last checkout came to nothing: the cart is open again.
    refusal: Option<Refusal>,
    revision: u64,
}

/// An order that could not be placed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct Refusal {
    order_id: Uuid,
    code: String,
    detail: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct CartTotals {
    subtotal: Money,
    discount: Money,
    total: Money,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct Order {
    id: Uuid,
    /// The cart that became the order.
    cart_id: Uuid,
    /// `pending`, `confirmed` or `rejected`.
    #[schema(example = "confirmed")]
    status: String,
    /// What may be asked of the order in this status.
    next_actions: Vec<String>,
    lines: Vec<Line>,
    totals: OrderTotals,
    /// `web` or `pos`.
    #[schema(example = "web")]
    channel: String,
    customer_reference: Option<String>,
    #[schema(format = DateTime)]
    placed_at: String,
    /// Why it was rejected, if it was.
    reasons: Option<Vec<Reason>>,
    timeline: Vec<Step>,
    revision: u64,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct OrderTotals {
    subtotal: Money,
    discount: Money,
    total: Money,
    paid: Money,
    refunded: Money,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct Line {
    sku: String,
    product_id: Uuid,
    name: String,
    department: Option<String>,
    quantity: u32,
    unit_price: Money,
    adjustments: Vec<Adjustment>,
    total: Money,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct Adjustment {
    kind: String,
    /// Signed: a discount is negative.
    amount: Money,
    reason: String,
}

/// Why an order was rejected; with a SKU where one line is to blame.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct Reason {
    sku: Option<String>,
    code: String,
    detail: String,
}

/// One step of an order's life, with what belongs to it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what the projector writes")]
pub(super) struct Step {
    /// `placed`, `stock_reserved`, `confirmed` or `rejected`.
    #[schema(rename = "type", example = "placed")]
    kind: String,
    #[schema(format = DateTime)]
    at: String,
    paid: Option<Money>,
    reasons: Option<Vec<Reason>>,
}
