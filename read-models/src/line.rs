//! What documents have in common: lines of carts and orders, and amounts. Every field of a line is
//! there, empty or not.

use domain::{
    cart::{self, Totals},
    id::{ProductId, Sku},
    money::{self, Currency},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    #[schema(value_type = String)]
    pub sku: Sku,
    #[schema(value_type = Uuid)]
    product_id: ProductId,
    name: String,
    department: Option<String>,
    pub quantity: u32,
    pub unit_price: Money,
    adjustments: Vec<Adjustment>,
    pub total: Money,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Adjustment {
    kind: String,
    /// Signed: a discount is negative.
    amount: Money,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CartTotals {
    pub subtotal: Money,
    pub discount: Money,
    pub total: Money,
}

/// An amount in minor units of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// Minor units: 1250 is 12.50 USD.
    #[schema(example = 1250)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
}

impl From<&cart::Line> for Line {
    fn from(line: &cart::Line) -> Self {
        Self {
            sku: line.sku.clone(),
            product_id: line.product_id,
            name: line.name.clone(),
            department: line.department.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price.into(),
            adjustments: line.adjustments.iter().map(Adjustment::from).collect(),
            total: line.total.into(),
        }
    }
}

impl From<&cart::Adjustment> for Adjustment {
    fn from(cart::Adjustment { kind, amount, reason }: &cart::Adjustment) -> Self {
        Self { kind: kind.clone(), amount: (*amount).into(), reason: reason.clone() }
    }
}

impl From<Totals> for CartTotals {
    fn from(Totals { subtotal, discount, total }: Totals) -> Self {
        Self { subtotal: subtotal.into(), discount: discount.into(), total: total.into() }
    }
}

impl From<money::Money> for Money {
    fn from(money::Money { amount, currency }: money::Money) -> Self {
        Self { amount, currency }
    }
}

impl From<Money> for money::Money {
    fn from(Money { amount, currency }: Money) -> Self {
        Self { amount, currency }
    }
}

#[must_use]
pub(crate) fn lines(lines: &[cart::Line]) -> Vec<Line> {
    lines.iter().map(Line::from).collect()
}
