//! What is in stock, for analysts.

use crate::{Flat, Shows::Plain};

pub(super) const STOCK: Flat = Flat {
    name: "stock",
    about: "A row per SKU, as it is now.",
    columns: &[
        ("sku", Plain("sku"), "Its stream is stock/<sku>."),
        ("on_hand", Plain("on_hand"), "Units that are there."),
        ("reserved", Plain("reserved"), "Units of those that are held for orders."),
        ("available", Plain("on_hand - reserved"), "What can be sold."),
        ("updated_at", Plain("updated_at"), "When it last changed."),
    ],
    from: "{schema}.stock",
};
