//! Sales per day, department, channel and currency, counted when an order is confirmed, at the day
//! on which it was placed (UTC).
//!
//! What an order will count for is remembered from its placing to its confirmation or rejection, in
//! a row that is then deleted. Figures are added up per shard, so that shards never contend for a
//! row; readers sum over the shards.
//!
//! **Invariant:** no order that was accepted is too much for the sums. An order's revenue fits 64 bits,
//! that of some twenty of the largest orders does not, so revenue is summed in numbers of any size.

mod flat;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::{Event as AnyEvent, StreamType, cart::Checkout, order::Event};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    Amount, Evolved, Fold,
    Get::{self, Date, Text},
    Inapplicable, Origin, Projection, Row, SumTable, Sums,
};

pub const SALES: Projection = Projection {
    name: "sales",
    version: 2,
    tables: "
        CREATE TABLE {schema}.pending (
            order_id    uuid PRIMARY KEY,
            day         date NOT NULL,
            channel     text NOT NULL,
            currency    text NOT NULL,
            departments jsonb NOT NULL,
            revision    bigint NOT NULL
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
        CREATE TABLE {schema}.sales (
            day        date NOT NULL,
            department text NOT NULL,
            channel    text NOT NULL,
            currency   text NOT NULL,
            shard      int NOT NULL,
            orders     bigint NOT NULL,
            units      bigint NOT NULL,
            revenue    numeric NOT NULL,
            PRIMARY KEY (day, department, channel, currency, shard)
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
        CREATE TABLE {schema}.sales_totals (
            day        date NOT NULL,
            channel    text NOT NULL,
            currency   text NOT NULL,
            shard      int NOT NULL,
            orders     bigint NOT NULL,
            units      bigint NOT NULL,
            revenue    numeric NOT NULL,
            PRIMARY KEY (day, channel, currency, shard)
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
    ",
    views: &[
        (
            "sales",
            "SELECT day, department, channel, currency, orders, units, revenue
             FROM {schema}.sales",
        ),
        (
            "sales_totals",
            "SELECT day, channel, currency, orders, units, revenue FROM {schema}.sales_totals",
        ),
    ],
    analytics: &[flat::SALES],
    folds: &[Fold::of::<PendingRow>(StreamType::Order)
        .adding(&[|| BY_DEPARTMENT.table(), || TOTALS.table()])],
};

/// An order with several departments counts in each of them.
const BY_DEPARTMENT: SumTable<Sale> = SumTable {
    name: "sales",
    by: &[
        ("day", Date(|sale| sale.day)),
        ("department", Text(|sale| &sale.department)),
        ("channel", Text(|sale| &sale.channel)),
        ("currency", Text(|sale| &sale.currency)),
    ],
    amounts: AMOUNTS,
};

/// Here it counts once.
const TOTALS: SumTable<Sale> = SumTable {
    name: "sales_totals",
    by: &[
        ("day", Date(|sale| sale.day)),
        ("channel", Text(|sale| &sale.channel)),
        ("currency", Text(|sale| &sale.currency)),
    ],
    amounts: AMOUNTS,
};

const AMOUNTS: &[(&str, Amount<Sale>)] = &[
    ("orders", Amount::Long(|_| 1)),
    ("units", Amount::Long(|sale| sale.sold.units)),
    ("revenue", Amount::Whole(|sale| sale.sold.revenue.into())),
];

/// The figures of a report: expressions over the views, in the order of the amounts. A sum of any
/// size is told as text.
#[must_use]
pub fn figures() -> String {
    let figure = |(name, amount): &(&str, Amount<Sale>)| match amount {
        Amount::Long(_) => format!("sum({name})::bigint"),
        Amount::Whole(_) => format!("sum({name})::text"),
    };
    AMOUNTS.iter().map(figure).collect::<Vec<_>>().join(", ")
}

/// Where lines without a department are counted.
const DEPARTMENT_UNKNOWN: &str = "UNKNOWN";

/// One order, or what of it is of one department.
struct Sale {
    day: NaiveDate,
    department: String,
    channel: String,
    currency: String,
    sold: Sold,
}

/// An order that is neither confirmed nor rejected.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct PendingRow {
    order_id: Uuid,
    day: NaiveDate,
    channel: String,
    currency: String,
    departments: Json<BTreeMap<String, Sold>>,
}

/// What a sale comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sold {
    units: i64,
    revenue: i64,
}

impl Row for PendingRow {
    type Key = Uuid;

    const TABLE: &'static str = "pending";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("order_id", Get::Uuid(|pending| pending.order_id)),
        ("day", Date(|pending| pending.day)),
        ("channel", Text(|pending| &pending.channel)),
        ("currency", Text(|pending| &pending.currency)),
        ("departments", Get::Json(|pending| serde_json::to_string(&pending.departments))),
    ];

    fn evolve(row: Option<Self>, event: &AnyEvent, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        let AnyEvent::Order(event) = event else { return Err(Inapplicable::WrongStream) };
        match (row, event) {
            (None, Event::Placed { checkout, .. }) => Self::new(checkout, origin).map(Some),
            (Some(_), Event::Placed { .. }) => Err(Inapplicable::ExistsAlready),
            (Some(pending), Event::StockReserved {}) => Ok(Some(pending)),
            (Some(pending), Event::Confirmed { .. }) => {
                pending.count(origin.sums)?;
                Ok(None)
            }
            (Some(_), Event::Rejected { .. }) => Ok(None),
            (None, Event::StockReserved {} | Event::Confirmed { .. } | Event::Rejected { .. }) => {
                Err(Inapplicable::UnknownStream)
            }
        }
    }
}

impl PendingRow {
    fn new(checkout: &Checkout, origin: &Origin<'_, Uuid>) -> Result<Self, Inapplicable> {
        let mut departments = BTreeMap::<String, Sold>::new();
        for line in &checkout.lines {
            let department = line.department.as_deref().unwrap_or(DEPARTMENT_UNKNOWN);
            let sold = Sold { units: line.quantity.into(), revenue: line.total.amount };
            departments.entry(department.to_owned()).or_default().add(sold)?;
        }
        Ok(Self {
            order_id: *origin.key,
            day: checkout.placed_at.to_datetime().date_naive(),
            channel: checkout.channel.as_str().to_owned(),
            currency: checkout.totals.total.currency.to_string(),
            departments: Json(departments),
        })
    }

    fn count(self, sums: &mut Sums) -> Result<(), Inapplicable> {
        let Self { day, channel, currency, departments: Json(departments), .. } = self;
        let (department, mut total) = (String::new(), Sold::default());
        let mut sale = Sale { day, department, channel, currency, sold: total };
        for (department, sold) in departments {
            total.add(sold)?;
            sale = Sale { department, sold, ..sale };
            sums.add(&BY_DEPARTMENT, &sale)?;
        }
        sums.add(&TOTALS, &Sale { sold: total, ..sale })
    }
}

impl Sold {
    fn add(&mut self, other: Self) -> Result<(), Inapplicable> {
        let overflow = Inapplicable::QuantityOverflow;
        self.units = self.units.checked_add(other.units).ok_or(overflow.clone())?;
        self.revenue = self.revenue.checked_add(other.revenue).ok_or(overflow)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
