//! What requests for carts must look like.

use domain::{
    cart::{LINES_MAX, QUANTITY_MAX},
    id::{CartId, Sku},
    money::Currency,
};
use infra::http::{
    bounded::Bounded,
    fields::{Fields, Validate},
    shapes,
    values::Whole,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::shapes::Adjustments;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCart {
    /// Made by the server if it is left out.
    #[schema(value_type = Option<Uuid>)]
    pub(super) id: Option<CartId>,
    #[schema(value_type = shapes::CurrencyCode)]
    pub(super) currency: Currency,
    #[serde(default)]
    pub(super) lines: Lines,
}

/// Of one SKU, in any cart.
const QUANTITIES_MAX: i64 = QUANTITY_MAX as i64;
type Quantity = Whole<u32, 1, QUANTITIES_MAX>;
type QuantityOrNone = Whole<u32, 0, QUANTITIES_MAX>;

/// Lines of one request, before those of one SKU are added up.
pub(super) type Lines = Bounded<LineBody, LINES_MAX>;

impl Validate for NewCart {
    fn validate(&self, fields: &mut Fields) {
        fields.each("/lines", &self.lines);
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CartLine)]
#[serde(deny_unknown_fields)]
pub(super) struct LineBody {
    #[schema(value_type = shapes::Sku)]
    pub(super) sku: Sku,
    /// At most 10,000 in a guest's cart.
    pub(super) quantity: Quantity,
    /// On carts made by staff only.
    #[serde(default)]
    pub(super) adjustments: Adjustments,
}

impl Validate for LineBody {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/quantity", &self.quantity);
        fields.each("/adjustments", &self.adjustments);
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AllLines {
    pub(super) lines: Lines,
}

impl Validate for AllLines {
    fn validate(&self, fields: &mut Fields) {
        fields.each("/lines", &self.lines);
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LineChange {
    /// 0 removes the line.
    pub(super) quantity: QuantityOrNone,
    /// Left out keeps them.
    pub(super) adjustments: Option<Adjustments>,
}

impl Validate for LineChange {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/quantity", &self.quantity);
        fields.each("/adjustments", self.adjustments.as_deref().unwrap_or_default());
    }
}
