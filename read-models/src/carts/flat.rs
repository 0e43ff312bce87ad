//! Carts for analysts.

use crate::{
    Flat,
    Shows::{Money, Plain},
};

const CURRENCY: &str = "doc->>'currency'";

pub(super) const CARTS: Flat = Flat {
    name: "carts",
    about: "A row per cart that is open or has become an order. One that was abandoned, or that a guest had \
            and that is over, is not here any more: its events are.",
    columns: &[
        ("cart_id", Plain("id"), "Its stream is cart/<cart_id>."),
        ("status", Plain("status"), "open or checked_out."),
        ("staff", Plain("(doc->>'staff')::boolean"), "Made by staff."),
        ("order_id", Plain("(doc->>'order_id')::uuid"), "The order that it became."),
        (
            "refusal_code",
            Plain("doc #>> '{refusal,code}'"),
            "Why its last checkout came to nothing; null if none did.",
        ),
        ("updated_at", Plain("updated_at"), "When it last changed."),
        ("lines", Plain("jsonb_array_length(doc->'lines')"), "How many lines it has."),
        (
            "units",
            Plain(
                "(SELECT coalesce(sum((line->>'quantity')::bigint), 0) FROM jsonb_array_elements(doc->'lines') AS line)::bigint",
            ),
            "How many units in all lines.",
        ),
        ("currency", Plain(CURRENCY), "ISO 4217, of all amounts of the row."),
        ("subtotal", Money("doc #>> '{totals,subtotal,amount}'", CURRENCY), "Before discounts."),
        ("discount", Money("doc #>> '{totals,discount,amount}'", CURRENCY), "What was taken off."),
        ("total", Money("doc #>> '{totals,total,amount}'", CURRENCY), "What it comes to."),
    ],
    from: "{schema}.carts",
};
