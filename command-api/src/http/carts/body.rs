//! What requests for carts must look like.

use domain::{cart::LINES_MAX, id::Sku, money::Currency};
use infra::http::{
    bounded::Bounded,
    fields::{Fields, Validate},
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::shapes::{AdjustmentShapes, Adjustments, check_adjustments};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCart {
    /// Made by the server if it is left out.
    pub(super) id: Option<Uuid>,
    /// ISO 4217.
    #[schema(value_type = String, example = "USD")]
    pub(super) currency: Currency,
    #[serde(default)]
    pub(super) lines: Lines,
}

/// Lines of one request, before those of one SKU are added up.
pub(super) type Lines = Bounded<LineBody, LINES_MAX>;

impl Validate for NewCart {
    fn validate(&self, fields: &mut Fields) {
        check_lines(fields, &self.lines);
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CartLine)]
#[serde(deny_unknown_fields)]
pub(super) struct LineBody {
    #[schema(value_type = String, example = "1082185")]
    pub(super) sku: Sku,
    /// At most 10,000 in a guest's cart, 1,000,000 in one made by staff.
    #[schema(minimum = 1)]
    pub(super) quantity: u32,
    /// On carts made by staff only.
    #[serde(default)]
    #[schema(value_type = AdjustmentShapes)]
    pub(super) adjustments: Adjustments,
}

impl LineBody {
    fn check(&self, fields: &mut Fields, at: &str) {
        fields.range(format!("{at}/quantity"), self.quantity, 1..=u32::MAX);
        check_adjustments(fields, at, &self.adjustments);
    }
}

impl Validate for LineBody {
    fn validate(&self, fields: &mut Fields) {
        self.check(fields, "");
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AllLines {
    pub(super) lines: Lines,
}

impl Validate for AllLines {
    fn validate(&self, fields: &mut Fields) {
        check_lines(fields, &self.lines);
    }
}

fn check_lines(fields: &mut Fields, lines: &[LineBody]) {
    for (index, line) in lines.iter().enumerate() {
        line.check(fields, &format!("/lines/{index}"));
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LineChange {
    /// 0 removes the line.
    pub(super) quantity: u32,
    /// Left out keeps them.
    #[schema(value_type = Option<AdjustmentShapes>)]
    pub(super) adjustments: Option<Adjustments>,
}

impl Validate for LineChange {
    fn validate(&self, fields: &mut Fields) {
        check_adjustments(fields, "", self.adjustments.as_deref().unwrap_or_default());
    }
}
