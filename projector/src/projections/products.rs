//! The catalogue: every product as it is now, whatever its status.

use chrono::{DateTime, Utc};
use domain::{
    StreamType,
    product::{Attribute, Details, Event},
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::projection::{
    AnyStreamFold, Cell, Column, Inapplicable, Kind, Origin, Projection, Row, StreamFold, Table,
};

pub(super) struct Products;

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Product {
    id: Uuid,
    sku: String,
    name: String,
    description: Option<String>,
    department: Option<String>,
    category: Option<String>,
    product_type: Option<String>,
    brand: Option<String>,
    attributes: Json<Attributes>,
    price_amount: i64,
    price_currency: String,
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

type Attributes = std::collections::BTreeMap<String, Attribute>;

impl Projection for Products {
    const NAME: &'static str = "products";
    const VERSION: i32 = 2;
    // Names are sorted as people expect, which their column says, and so their index.
    const TABLES: &'static str = "
        CREATE TABLE {schema}.products (
            id             uuid PRIMARY KEY,
            sku            text NOT NULL,
            name           text COLLATE read.people NOT NULL,
            description    text,
            department     text,
            category       text,
            product_type   text,
            brand          text,
            attributes     jsonb NOT NULL,
            price_amount   bigint NOT NULL,
            price_currency text NOT NULL,
            status         text NOT NULL,
            created_at     timestamptz NOT NULL,
            updated_at     timestamptz NOT NULL,
            revision       bigint NOT NULL
        ) WITH (fillfactor = 80);
        CREATE INDEX ON {schema}.products (sku);
        CREATE INDEX ON {schema}.products (name, id);
        CREATE INDEX ON {schema}.products (price_amount, id);
        CREATE INDEX ON {schema}.products (created_at, id);
        CREATE INDEX ON {schema}.products (department);
        CREATE INDEX ON {schema}.products (category);
        CREATE INDEX ON {schema}.products (brand);
    ";
    const VIEWS: &'static [(&'static str, &'static str)] = &[(
        "products",
        "SELECT id, sku, name, description, department, category, product_type, brand, attributes,
                price_amount, price_currency, status, created_at, updated_at, revision
         FROM {schema}.products",
    )];
    const FOLDS: &'static [&'static dyn AnyStreamFold] = &[&Self];
}

impl StreamFold for Products {
    const STREAM: StreamType = StreamType::Product;

    type Event = Event;
    type Key = Uuid;
    type Row = Product;
    type Additions = ();

    fn select(event: &domain::Event) -> Option<&Event> {
        match event {
            domain::Event::Product(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        row: Option<Product>,
        event: &Event,
        origin: &Origin<Uuid>,
        (): &mut (),
    ) -> Result<Option<Product>, Inapplicable> {
        match row {
            None => Product::begin(event, origin),
            Some(product) => product.evolve(event, origin),
        }
        .map(Some)
    }
}

impl Row for Product {
    type Key = Uuid;

    const TABLE: Table = Table {
        name: "products",
        keys: 1,
        columns: &[
            Column::of("id", Kind::Uuid),
            Column::of("sku", Kind::Text),
            Column::of("name", Kind::Text),
            Column::of("description", Kind::Text),
            Column::of("department", Kind::Text),
            Column::of("category", Kind::Text),
            Column::of("product_type", Kind::Text),
            Column::of("brand", Kind::Text),
            Column::of("attributes", Kind::Json),
            Column::of("price_amount", Kind::Long),
            Column::of("price_currency", Kind::Text),
            Column::of("status", Kind::Text),
            Column::of("created_at", Kind::Time),
            Column::of("updated_at", Kind::Time),
            Column::of("revision", Kind::Long),
        ],
    };

    fn key(&self) -> Uuid {
        self.id
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Uuid(self.id),
            Cell::text(&self.sku),
            Cell::text(&self.name),
            Cell::text_or_null(self.description.as_deref()),
            Cell::text_or_null(self.department.as_deref()),
            Cell::text_or_null(self.category.as_deref()),
            Cell::text_or_null(self.product_type.as_deref()),
            Cell::text_or_null(self.brand.as_deref()),
            Cell::json(&self.attributes),
            Cell::Long(self.price_amount),
            Cell::text(&self.price_currency),
            Cell::text(&self.status),
            Cell::Time(self.created_at),
            Cell::Time(self.updated_at),
            Cell::Long(self.revision),
        ]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Product {
    fn begin(event: &Event, origin: &Origin<Uuid>) -> Result<Self, Inapplicable> {
        let Event::Created { sku, details, price } = event else {
            return Err(Inapplicable::UnknownStream);
        };
        let mut product = Self {
            id: origin.key,
            sku: sku.to_string(),
            name: String::new(),
            description: None,
            department: None,
            category: None,
            product_type: None,
            brand: None,
            attributes: Json::default(),
            price_amount: price.amount,
            price_currency: price.currency.to_string(),
            status: "draft".into(),
            created_at: origin.recorded_at,
            updated_at: origin.recorded_at,
            revision: origin.revision,
        };
        product.describe(details);
        Ok(product)
    }

    fn evolve(mut self, event: &Event, origin: &Origin<Uuid>) -> Result<Self, Inapplicable> {
        match event {
            Event::Created { .. } => return Err(Inapplicable::ExistsAlready),
            Event::Updated { details } => self.describe(details),
            Event::PriceChanged { price } => {
                self.price_amount = price.amount;
                self.price_currency = price.currency.to_string();
            }
            Event::Published {} => self.status = "published".into(),
            Event::Unpublished {} => self.status = "unpublished".into(),
            Event::Archived { .. } => self.status = "archived".into(),
        }
        self.updated_at = origin.recorded_at;
        self.revision = origin.revision;
        Ok(self)
    }

    fn describe(&mut self, details: &Details) {
        self.name.clone_from(&details.name);
        self.description.clone_from(&details.description);
        self.department.clone_from(&details.department);
        self.category.clone_from(&details.category);
        self.product_type.clone_from(&details.product_type);
        self.brand.clone_from(&details.brand);
        self.attributes = Json(details.attributes.clone());
    }
}

#[cfg(test)]
mod tests;
