//! Units ordered per department, as the products are filed today. Orders and products come from
//! different shards, in no order: each has a table of its own, and the view joins them.

use std::collections::BTreeMap;

use domain::{StreamType, order, product};
use uuid::Uuid;

use crate::projection::{
    AnyStreamFold, Cell, Column, Inapplicable, Kind, Origin, Projection, Row, StreamFold, Table,
    Tables, column,
};

pub(super) struct Demand;

impl Projection for Demand {
    const NAME: &'static str = "demand";
    const VERSION: i32 = 1;
    const TABLES: &'static str = "
        CREATE TABLE {schema}.products (
            product_id uuid PRIMARY KEY, department text, revision bigint NOT NULL
        );
        CREATE TABLE {schema}.orders (order_id uuid PRIMARY KEY, revision bigint NOT NULL)
            WITH (fillfactor = 60);
        CREATE TABLE {schema}.ordered (
            product_id uuid, shard int, units bigint NOT NULL, PRIMARY KEY (product_id, shard)
        ) WITH (fillfactor = 60);
    ";
    const VIEWS: &'static [(&'static str, &'static str)] = &[(
        "demand",
        "SELECT department, sum(units)::bigint AS units
         FROM {schema}.ordered LEFT JOIN {schema}.products USING (product_id) GROUP BY department",
    )];
    const FOLDS: &'static [&'static dyn AnyStreamFold] = &[&Products, &Orders];
}

/// Where each product is filed.
struct Products;

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Product {
    product_id: Uuid,
    department: Option<String>,
    revision: i64,
}

impl StreamFold for Products {
    const STREAM: StreamType = StreamType::Product;

    type Event = product::Event;
    type Key = Uuid;
    type Row = Product;
    type Additions = ();

    fn select(event: &domain::Event) -> Option<&product::Event> {
        match event {
            domain::Event::Product(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        row: Option<Product>,
        event: &product::Event,
        origin: &Origin<Uuid>,
        (): &mut (),
    ) -> Result<Option<Product>, Inapplicable> {
        use product::Event::{Archived, Created, PriceChanged, Published, Unpublished, Updated};
        let department = match event {
            Created { details, .. } | Updated { details } => details.department.clone(),
            PriceChanged { .. } | Published {} | Unpublished {} | Archived { .. } => {
                row.ok_or(Inapplicable::UnknownStream)?.department
            }
        };
        Ok(Some(Product { product_id: origin.key, department, revision: origin.revision }))
    }
}

impl Row for Product {
    type Key = Uuid;

    const TABLE: Table = Table {
        name: "products",
        keys: 1,
        columns: &[
            Column::of("product_id", Kind::Uuid),
            Column::of("department", Kind::Text),
            Column::of("revision", Kind::Long),
        ],
    };

    fn key(&self) -> Uuid {
        self.product_id
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        let department = Cell::text_or_null(self.department.as_deref());
        vec![Cell::Uuid(self.product_id), department, Cell::Long(self.revision)]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

/// What is ordered of each product, by shard of the orders.
struct Orders;

/// How far the order has been counted.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Order {
    order_id: Uuid,
    revision: i64,
}

impl StreamFold for Orders {
    const STREAM: StreamType = StreamType::Order;

    type Event = order::Event;
    type Key = Uuid;
    type Row = Order;
    /// Units by product.
    type Additions = BTreeMap<Uuid, i64>;

    const SHARED: &'static [Table] = &[Table {
        name: "ordered",
        keys: 2,
        columns: &[
            Column::of("product_id", Kind::Uuid),
            Column::of("shard", Kind::Int),
            Column::of("units", Kind::Long),
        ],
    }];

    fn select(event: &domain::Event) -> Option<&order::Event> {
        match event {
            domain::Event::Order(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        _: Option<Order>,
        event: &order::Event,
        origin: &Origin<Uuid>,
        ordered: &mut BTreeMap<Uuid, i64>,
    ) -> Result<Option<Order>, Inapplicable> {
        if let order::Event::Placed { checkout, .. } = event {
            for line in &checkout.lines {
                count(ordered, line.product_id.uuid(), line.quantity.into())
                    .ok_or(Inapplicable::QuantityOverflow)?;
            }
        }
        Ok(Some(Order { order_id: origin.key, revision: origin.revision }))
    }

    async fn add(
        tables: &mut Tables<'_>,
        ordered: &BTreeMap<Uuid, i64>,
    ) -> Result<(), sqlx::Error> {
        let sql = tables.sql(
            "INSERT INTO {schema}.ordered AS kept
             SELECT product_id, $3, units FROM UNNEST($1::uuid[], $2::bigint[])
                AS added (product_id, units)
             ON CONFLICT (product_id, shard) DO UPDATE SET units = kept.units + excluded.units",
        );
        if ordered.is_empty() {
            return Ok(());
        }
        let ordered: Vec<_> = ordered.iter().collect();
        sqlx::query(sql)
            .bind(column(&ordered, |(product, _)| **product))
            .bind(column(&ordered, |(_, units)| **units))
            .bind(tables.shard_column())
            .execute(tables.connection())
            .await?;
        Ok(())
    }

    fn merge(ordered: &mut BTreeMap<Uuid, i64>, more: BTreeMap<Uuid, i64>) -> Option<()> {
        more.into_iter().try_for_each(|(product, units)| count(ordered, product, units))
    }

    fn shared(ordered: &BTreeMap<Uuid, i64>, shard: i32) -> Vec<Vec<Vec<Cell<'_>>>> {
        let row = |(product, units): (&Uuid, &i64)| {
            vec![Cell::Uuid(*product), Cell::Int(shard), Cell::Long(*units)]
        };
        vec![ordered.iter().map(row).collect()]
    }
}

impl Row for Order {
    type Key = Uuid;

    const TABLE: Table = Table {
        name: "orders",
        keys: 1,
        columns: &[Column::of("order_id", Kind::Uuid), Column::of("revision", Kind::Long)],
    };

    fn key(&self) -> Uuid {
        self.order_id
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![Cell::Uuid(self.order_id), Cell::Long(self.revision)]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

fn count(ordered: &mut BTreeMap<Uuid, i64>, product: Uuid, units: i64) -> Option<()> {
    let sum = ordered.entry(product).or_default();
    *sum = sum.checked_add(units)?;
    Some(())
}

#[cfg(test)]
mod tests {
    /// What docs/projections.md teaches is this file, word for word.
    #[test]
    fn the_worked_example_of_the_docs_is_this_code() {
        let (docs, code) =
            (include_str!("../../../docs/projections.md"), include_str!("demand.rs"));
        let blocks: Vec<_> =
            docs.split("```rust\n").skip(1).filter_map(|block| block.split("```").next()).collect();
        assert!(blocks.len() >= 4, "{} blocks", blocks.len());
        for block in blocks {
            assert!(code.contains(block), "not in demand.rs:\n{block}");
        }
    }
}
