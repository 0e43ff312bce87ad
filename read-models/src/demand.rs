//! Units ordered per department, as the products are filed today. Orders and products come from
//! different shards, in no order: each has a table of its own, and the view joins them.

use domain::{Event, StreamType, order, product};
use uuid::Uuid;

use crate::{
    Amount, Evolved, Fold,
    Get::{self, TextOrNull},
    Inapplicable, Origin, Projection, Row, SumTable,
};

pub const DEMAND: Projection = Projection {
    name: "demand",
    version: 1,
    tables: "
        CREATE TABLE {schema}.products (
            product_id uuid PRIMARY KEY, department text, revision bigint NOT NULL
        );
        CREATE TABLE {schema}.orders (order_id uuid PRIMARY KEY, revision bigint NOT NULL)
            WITH (fillfactor = 60);
        CREATE TABLE {schema}.ordered (
            product_id uuid, shard int, units bigint NOT NULL, PRIMARY KEY (product_id, shard)
        ) WITH (fillfactor = 60);
    ",
    views: &[(
        "demand",
        "SELECT department, sum(units)::bigint AS units
         FROM {schema}.ordered LEFT JOIN {schema}.products USING (product_id) GROUP BY department",
    )],
    analytics: &[],
    folds: &[
        Fold::of::<ProductRow>(StreamType::Product),
        Fold::of::<OrderRow>(StreamType::Order).adding(&[|| ORDERED.table()]),
    ],
};

/// Where each product is filed.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct ProductRow {
    product_id: Uuid,
    department: Option<String>,
}

impl Row for ProductRow {
    type Key = Uuid;

    const TABLE: &'static str = "products";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("product_id", Get::Uuid(|product| product.product_id)),
        ("department", TextOrNull(|product| product.department.as_deref())),
    ];

    fn evolve(row: Option<Self>, event: &Event, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        use product::Event::{Archived, Created, PriceChanged, Published, Unpublished, Updated};
        let Event::Product(event) = event else { return Err(Inapplicable::WrongStream) };
        let department = match event {
            Created { details, .. } | Updated { details } => details.department.clone(),
            PriceChanged { .. } | Published {} | Unpublished {} | Archived { .. } => {
                row.ok_or(Inapplicable::UnknownStream)?.department
            }
        };
        Ok(Some(Self { product_id: *origin.key, department }))
    }
}

/// What is ordered of each product.
const ORDERED: SumTable<(Uuid, i64)> = SumTable {
    name: "ordered",
    by: &[("product_id", Get::Uuid(|(product, _)| *product))],
    amounts: &[("units", Amount::Long(|(_, units)| *units))],
};

/// An order that has been counted, as far as its revision says.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct OrderRow {
    order_id: Uuid,
}

impl Row for OrderRow {
    type Key = Uuid;

    const TABLE: &'static str = "orders";
    const COLUMNS: &'static [(&'static str, Get<Self>)] =
        &[("order_id", Get::Uuid(|order| order.order_id))];

    fn evolve(_: Option<Self>, event: &Event, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        let Event::Order(event) = event else { return Err(Inapplicable::WrongStream) };
        if let order::Event::Placed { checkout, .. } = event {
            for line in &checkout.lines {
                origin.sums.add(&ORDERED, &(line.product_id.uuid(), line.quantity.into()))?;
            }
        }
        Ok(Some(Self { order_id: *origin.key }))
    }
}
