//! Sales for analysts.

use crate::{
    Flat,
    Shows::{Money, Plain},
};

pub(super) const SALES: Flat = Flat {
    name: "sales",
    about: "A row per day, department, channel and currency: confirmed orders, at the day on which they were \
            placed (UTC). The figures of /v1/reports/sales.",
    columns: &[
        ("day", Plain("day"), "On which the orders were placed, in UTC."),
        ("week", Plain("date_trunc('week', day)::date"), "The Monday of that week."),
        ("department", Plain("department"), "Of the lines; UNKNOWN where they have none."),
        ("channel", Plain("channel"), "web or pos."),
        (
            "orders",
            Plain("orders"),
            "How many have something of the department: one with several counts in each, so do not add \
             this up over departments.",
        ),
        ("units", Plain("units"), "How many units were sold."),
        ("currency", Plain("currency"), "ISO 4217, of the revenue."),
        ("revenue", Money("revenue", "currency"), "What the lines came to, discounts taken off."),
    ],
    // Each shard adds up its own.
    from: "(SELECT day, department, channel, currency, sum(orders)::bigint AS orders,
                   sum(units)::bigint AS units, sum(revenue) AS revenue
            FROM {schema}.sales GROUP BY day, department, channel, currency) AS sales",
};
