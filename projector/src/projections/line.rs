//! A line of a cart or an order as clients read it: every field is there, empty or not.

use domain::{
    cart::{self, Adjustment},
    id::{ProductId, Sku},
    money::Money,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub sku: Sku,
    product_id: ProductId,
    name: String,
    department: Option<String>,
    pub quantity: u32,
    pub unit_price: Money,
    adjustments: Vec<Adjustment>,
    pub total: Money,
}

impl From<&cart::Line> for Line {
    fn from(line: &cart::Line) -> Self {
        Self {
            sku: line.sku.clone(),
            product_id: line.product_id,
            name: line.name.clone(),
            department: line.department.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            adjustments: line.adjustments.clone(),
            total: line.total,
        }
    }
}

#[must_use]
pub(super) fn lines(lines: &[cart::Line]) -> Vec<Line> {
    lines.iter().map(Line::from).collect()
}
