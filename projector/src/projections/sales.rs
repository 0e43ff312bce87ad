//! Sales per day, department, channel and currency, counted when an order is confirmed, at the day
//! on which it was placed (UTC).
//!
//! What an order will count for is remembered from its placing to its confirmation or rejection, in
//! a row that is then deleted. Figures are added up per shard, so that shards never contend for a
//! row; readers sum over the shards.
//!
//! **Invariant:** no order that was accepted is too much for the sums. An order's revenue fits 64 bits,
//! that of some twenty of the largest orders does not, so revenue is summed in numbers of any size.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::{StreamType, cart::Checkout, order::Event};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::projection::{
    AnyStreamFold, Cell, Column, Inapplicable, Kind, Origin, Projection, Row, StreamFold, Table,
    Tables, column,
};

pub(super) struct Sales;

/// Where lines without a department are counted.
const DEPARTMENT_UNKNOWN: &str = "UNKNOWN";

/// An order that is neither confirmed nor rejected.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Pending {
    order_id: Uuid,
    day: NaiveDate,
    channel: String,
    currency: String,
    departments: Json<BTreeMap<String, Sold>>,
    revision: i64,
}

/// What a sale, or many, comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sold {
    units: i64,
    revenue: i64,
}

/// What a batch adds to the figures.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Additions {
    /// By day, department, channel and currency.
    departments: BTreeMap<(NaiveDate, String, String, String), Figures>,
    /// By day, channel and currency: an order with several departments counts once.
    totals: BTreeMap<(NaiveDate, String, String), Figures>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    orders: i64,
    units: i64,
    revenue: i128,
}

impl Projection for Sales {
    const NAME: &'static str = "sales";
    const VERSION: i32 = 2;
    const TABLES: &'static str = "
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
    ";
    const VIEWS: &'static [(&'static str, &'static str)] = &[
        (
            "sales",
            "SELECT day, department, channel, currency, orders, units, revenue
             FROM {schema}.sales",
        ),
        (
            "sales_totals",
            "SELECT day, channel, currency, orders, units, revenue FROM {schema}.sales_totals",
        ),
    ];
    const FOLDS: &'static [&'static dyn AnyStreamFold] = &[&Self];
}

impl StreamFold for Sales {
    const STREAM: StreamType = StreamType::Order;

    type Event = Event;
    type Key = Uuid;
    type Row = Pending;
    type Additions = Additions;

    const SHARED: &'static [Table] = &[
        Table {
            name: "sales",
            keys: 5,
            columns: &[
                Column::of("day", Kind::Date),
                Column::of("department", Kind::Text),
                Column::of("channel", Kind::Text),
                Column::of("currency", Kind::Text),
                Column::of("shard", Kind::Int),
                Column::of("orders", Kind::Long),
                Column::of("units", Kind::Long),
                Column::of("revenue", Kind::Whole),
            ],
        },
        Table {
            name: "sales_totals",
            keys: 4,
            columns: &[
                Column::of("day", Kind::Date),
                Column::of("channel", Kind::Text),
                Column::of("currency", Kind::Text),
                Column::of("shard", Kind::Int),
                Column::of("orders", Kind::Long),
                Column::of("units", Kind::Long),
                Column::of("revenue", Kind::Whole),
            ],
        },
    ];

    fn select(event: &domain::Event) -> Option<&Event> {
        match event {
            domain::Event::Order(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        row: Option<Pending>,
        event: &Event,
        origin: &Origin<Uuid>,
        additions: &mut Additions,
    ) -> Result<Option<Pending>, Inapplicable> {
        match (row, event) {
            (None, Event::Placed { checkout, .. }) => Pending::new(checkout, origin).map(Some),
            (Some(_), Event::Placed { .. }) => Err(Inapplicable::ExistsAlready),
            (Some(pending), Event::StockReserved {}) => {
                Ok(Some(Pending { revision: origin.revision, ..pending }))
            }
            (Some(pending), Event::Confirmed { .. }) => {
                additions.count(pending)?;
                Ok(None)
            }
            (Some(_), Event::Rejected { .. }) => Ok(None),
            (None, Event::StockReserved {} | Event::Confirmed { .. } | Event::Rejected { .. }) => {
                Err(Inapplicable::UnknownStream)
            }
        }
    }

    async fn add(tables: &mut Tables<'_>, additions: &Additions) -> Result<(), sqlx::Error> {
        if !additions.totals.is_empty() {
            add_departments(tables, additions).await?;
            add_totals(tables, additions).await?;
        }
        Ok(())
    }

    fn merge(additions: &mut Additions, more: Additions) -> Option<()> {
        for (key, figures) in more.departments {
            additions.departments.entry(key).or_default().merge(figures).ok()?;
        }
        for (key, figures) in more.totals {
            additions.totals.entry(key).or_default().merge(figures).ok()?;
        }
        Some(())
    }

    fn shared(additions: &Additions, shard: i32) -> Vec<Vec<Vec<Cell<'_>>>> {
        let departments = additions.departments.iter().map(|(key, figures)| {
            let (day, department, channel, currency) = key;
            let mut cells = vec![Cell::Date(*day), Cell::text(department)];
            cells.extend([Cell::text(channel), Cell::text(currency), Cell::Int(shard)]);
            cells.extend(figures.cells());
            cells
        });
        let totals = additions.totals.iter().map(|((day, channel, currency), figures)| {
            let mut cells = vec![Cell::Date(*day), Cell::text(channel), Cell::text(currency)];
            cells.push(Cell::Int(shard));
            cells.extend(figures.cells());
            cells
        });
        vec![departments.collect(), totals.collect()]
    }
}

impl Row for Pending {
    type Key = Uuid;

    const TABLE: Table = Table {
        name: "pending",
        keys: 1,
        columns: &[
            Column::of("order_id", Kind::Uuid),
            Column::of("day", Kind::Date),
            Column::of("channel", Kind::Text),
            Column::of("currency", Kind::Text),
            Column::of("departments", Kind::Json),
            Column::of("revision", Kind::Long),
        ],
    };

    fn key(&self) -> Uuid {
        self.order_id
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Uuid(self.order_id),
            Cell::Date(self.day),
            Cell::text(&self.channel),
            Cell::text(&self.currency),
            Cell::json(&self.departments),
            Cell::Long(self.revision),
        ]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Pending {
    fn new(checkout: &Checkout, origin: &Origin<Uuid>) -> Result<Self, Inapplicable> {
        let mut departments = BTreeMap::<String, Sold>::new();
        for line in &checkout.lines {
            let department = line.department.as_deref().unwrap_or(DEPARTMENT_UNKNOWN);
            let sold = Sold { units: line.quantity.into(), revenue: line.total.amount };
            departments.entry(department.to_owned()).or_default().add(sold)?;
        }
        Ok(Self {
            order_id: origin.key,
            day: checkout.placed_at.to_datetime().date_naive(),
            channel: checkout.channel.as_str().to_owned(),
            currency: checkout.totals.total.currency.to_string(),
            departments: Json(departments),
            revision: origin.revision,
        })
    }
}

impl Additions {
    fn count(&mut self, order: Pending) -> Result<(), Inapplicable> {
        let Pending { day, channel, currency, departments: Json(departments), .. } = order;
        let mut total = Sold::default();
        for (department, sold) in departments {
            total.add(sold)?;
            let key = (day, department, channel.clone(), currency.clone());
            self.departments.entry(key).or_default().add(sold)?;
        }
        self.totals.entry((day, channel, currency)).or_default().add(total)
    }
}

impl Figures {
    /// Adds one order.
    fn add(&mut self, sold: Sold) -> Result<(), Inapplicable> {
        self.merge(Self { orders: 1, units: sold.units, revenue: sold.revenue.into() })
    }

    fn merge(&mut self, other: Self) -> Result<(), Inapplicable> {
        let overflow = Inapplicable::QuantityOverflow;
        self.orders = self.orders.checked_add(other.orders).ok_or(overflow.clone())?;
        self.units = self.units.checked_add(other.units).ok_or(overflow.clone())?;
        self.revenue = self.revenue.checked_add(other.revenue).ok_or(overflow)?;
        Ok(())
    }

    fn cells(&self) -> [Cell<'static>; 3] {
        [Cell::Long(self.orders), Cell::Long(self.units), Cell::Whole(self.revenue)]
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

async fn add_departments(
    tables: &mut Tables<'_>,
    additions: &Additions,
) -> Result<(), sqlx::Error> {
    let sql = "
        INSERT INTO {schema}.sales AS kept
        SELECT day, department, channel, currency, $5, orders, units, revenue
        FROM UNNEST($1::date[], $2::text[], $3::text[], $4::text[], $6::bigint[], $7::bigint[],
            $8::numeric[]) AS added (day, department, channel, currency, orders, units, revenue)
        ON CONFLICT (day, department, channel, currency, shard) DO UPDATE SET
            orders = kept.orders + excluded.orders, units = kept.units + excluded.units,
            revenue = kept.revenue + excluded.revenue
    ";
    let rows: Vec<_> = additions.departments.iter().collect();
    sqlx::query(tables.sql(sql))
        .bind(column(&rows, |((day, ..), _)| *day))
        .bind(column(&rows, |((_, department, ..), _)| &**department))
        .bind(column(&rows, |((_, _, channel, _), _)| &**channel))
        .bind(column(&rows, |((.., currency), _)| &**currency))
        .bind(tables.shard_column())
        .bind(column(&rows, |(_, figures)| figures.orders))
        .bind(column(&rows, |(_, figures)| figures.units))
        .bind(column(&rows, |(_, figures)| figures.revenue.to_string()))
        .execute(tables.connection())
        .await?;
    Ok(())
}

async fn add_totals(tables: &mut Tables<'_>, additions: &Additions) -> Result<(), sqlx::Error> {
    let sql = "
        INSERT INTO {schema}.sales_totals AS kept
        SELECT day, channel, currency, $4, orders, units, revenue
        FROM UNNEST($1::date[], $2::text[], $3::text[], $5::bigint[], $6::bigint[], $7::numeric[])
            AS added (day, channel, currency, orders, units, revenue)
        ON CONFLICT (day, channel, currency, shard) DO UPDATE SET
            orders = kept.orders + excluded.orders, units = kept.units + excluded.units,
            revenue = kept.revenue + excluded.revenue
    ";
    let rows: Vec<_> = additions.totals.iter().collect();
    sqlx::query(tables.sql(sql))
        .bind(column(&rows, |((day, ..), _)| *day))
        .bind(column(&rows, |((_, channel, _), _)| &**channel))
        .bind(column(&rows, |((.., currency), _)| &**currency))
        .bind(tables.shard_column())
        .bind(column(&rows, |(_, figures)| figures.orders))
        .bind(column(&rows, |(_, figures)| figures.units))
        .bind(column(&rows, |(_, figures)| figures.revenue.to_string()))
        .execute(tables.connection())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
