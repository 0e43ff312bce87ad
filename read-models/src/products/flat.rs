//! The catalogue for analysts.

use crate::{
    Flat,
    Shows::{Money, Plain},
};

pub(super) const PRODUCTS: Flat = Flat {
    name: "products",
    about: "A row per product, as the catalogue has it now.",
    columns: &[
        ("product_id", Plain("id"), "Its stream is product/<product_id>."),
        ("sku", Plain("sku"), "Its code. One that is archived may have passed it on."),
        ("name", Plain("name"), "What it is called."),
        ("status", Plain("status"), "draft, published, unpublished or archived."),
        ("department", Plain("department"), "The widest group that it belongs to."),
        ("category", Plain("category"), "Within the department."),
        ("product_type", Plain("product_type"), "Within the category."),
        ("brand", Plain("brand"), "Under which it is sold."),
        ("attributes", Plain("attributes"), "Whatever else is said of it, by name."),
        ("currency", Plain("price_currency"), "ISO 4217, of the price."),
        ("price", Money("price_amount", "price_currency"), "Of one, now."),
        ("created_at", Plain("created_at"), "When it came into the catalogue."),
        ("updated_at", Plain("updated_at"), "When it last changed."),
    ],
    from: "{schema}.products",
};
