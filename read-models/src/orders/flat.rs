//! Orders and their lines for analysts.

use crate::{
    Flat,
    Shows::{Money, Personal, Plain},
};

const CURRENCY: &str = "doc #>> '{totals,total,currency}'";

pub(super) const ORDERS: Flat = Flat {
    name: "orders",
    about: "A row per order, whatever became of it. Revenue is the total of those that are confirmed.",
    columns: &[
        ("order_id", Plain("id"), "Its stream is order/<order_id>."),
        ("cart_id", Plain("(doc->>'cart_id')::uuid"), "The cart that became the order."),
        ("status", Plain("status"), "pending, confirmed or rejected."),
        ("channel", Plain("channel"), "web or pos."),
        (
            "customer",
            Personal("customer_reference"),
            "What the seller calls the buyer, as a pseudonym; null where nothing was said.",
        ),
        (
            "placed_at",
            Plain("placed_at"),
            "When the sale took place; at a till that may be before it was recorded.",
        ),
        ("confirmed_at", Plain(CONFIRMED_AT), "When it was confirmed; null if it was not."),
        ("rejected_at", Plain(REJECTED_AT), "When it was rejected; null if it was not."),
        (
            "rejection_code",
            Plain("doc #>> '{reasons,0,code}'"),
            "Why it was rejected, the first reason; null if it was not.",
        ),
        ("lines", Plain("jsonb_array_length(doc->'lines')"), "How many lines it has."),
        (
            "units",
            Plain(
                "(SELECT sum((line->>'quantity')::bigint) FROM jsonb_array_elements(doc->'lines') AS line)::bigint",
            ),
            "How many units in all lines.",
        ),
        ("currency", Plain(CURRENCY), "ISO 4217, of all amounts of the row."),
        ("subtotal", Money("doc #>> '{totals,subtotal,amount}'", CURRENCY), "Before discounts."),
        ("discount", Money("doc #>> '{totals,discount,amount}'", CURRENCY), "What was taken off."),
        ("total", Money("doc #>> '{totals,total,amount}'", CURRENCY), "To be paid."),
        ("paid", Money("doc #>> '{totals,paid,amount}'", CURRENCY), "Paid so far."),
    ],
    from: "{schema}.orders",
};

const CONFIRMED_AT: &str = "(jsonb_path_query_first(doc, '$.timeline[*] ? (@.type == \"confirmed\").at') #>> '{}')::timestamptz";
const REJECTED_AT: &str = "(jsonb_path_query_first(doc, '$.timeline[*] ? (@.type == \"rejected\").at') #>> '{}')::timestamptz";

const LINE_CURRENCY: &str = "line #>> '{total,currency}'";

pub(super) const ORDER_LINES: Flat = Flat {
    name: "order_lines",
    about: "A row per line of an order, with what orders are asked about most. Revenue is the total of the \
            lines of orders that are confirmed.",
    columns: &[
        ("order_id", Plain("id"), "The order."),
        ("line", Plain("number::int"), "Place in the order, from 1."),
        ("status", Plain("status"), "Of the order: pending, confirmed or rejected."),
        ("channel", Plain("channel"), "Of the order: web or pos."),
        (
            "customer",
            Personal("customer_reference"),
            "What the seller calls the buyer, as a pseudonym; null where nothing was said.",
        ),
        ("placed_at", Plain("placed_at"), "When the sale took place."),
        ("sku", Plain("line->>'sku'"), "What was bought."),
        ("product_id", Plain("(line->>'product_id')::uuid"), "The product that had the code then."),
        ("name", Plain("line->>'name'"), "As the catalogue called it then."),
        (
            "department",
            Plain("line->>'department'"),
            "Where the catalogue had it then, if anywhere.",
        ),
        ("quantity", Plain("(line->>'quantity')::bigint"), "How many."),
        ("currency", Plain(LINE_CURRENCY), "ISO 4217, of all amounts of the row."),
        ("unit_price", Money("line #>> '{unit_price,amount}'", LINE_CURRENCY), "Of one."),
        (
            "discount",
            Money(
                "(line #>> '{unit_price,amount}')::numeric * (line->>'quantity')::numeric - (line #>> '{total,amount}')::numeric",
                LINE_CURRENCY,
            ),
            "What was taken off the line.",
        ),
        ("total", Money("line #>> '{total,amount}'", LINE_CURRENCY), "What the line costs."),
    ],
    from: "{schema}.orders CROSS JOIN LATERAL jsonb_array_elements(doc->'lines') WITH ORDINALITY AS item (line, number)",
};
