//! The catalogue: every product as it is now, whatever its status.

mod flat;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    Event as AnyEvent, StreamType,
    product::{Attribute, Details, Event},
    timestamp::Timestamp,
};
use serde::{Serialize, ser::Error};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Document, Evolved, Fold,
    Get::{self, Long, Text, TextOrNull, Time},
    History, Inapplicable, Money, Origin, Projection, Row, Showing,
};

pub const PRODUCTS: Projection = Projection {
    name: "products",
    version: 2,
    // Names are sorted as people expect, which their column says, and so their index.
    tables: "
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
    ",
    views: &[(
        "products",
        "SELECT id, sku, name, description, department, category, product_type, brand, attributes,
                price_amount, price_currency, status, created_at, updated_at, revision
         FROM {schema}.products",
    )],
    analytics: &[flat::PRODUCTS],
    folds: &[Fold::of::<ProductRow>(StreamType::Product)],
};

/// One of them as it was.
pub const HISTORY: History = History::of::<ProductRow>(StreamType::Product);

/// A product as it is shown; what is not known of it is null.
#[derive(Serialize, sqlx::FromRow, ToSchema)]
pub struct Product {
    pub id: Uuid,
    #[schema(example = "1082185")]
    pub sku: String,
    pub name: String,
    description: Option<String>,
    department: Option<String>,
    category: Option<String>,
    product_type: Option<String>,
    brand: Option<String>,
    #[schema(value_type = Object)]
    attributes: Document<Attributes>,
    #[sqlx(flatten, try_from = "Price")]
    pub price: Money,
    /// `draft`, `published`, `unpublished` or `archived`; the public sees published ones only.
    status: String,
    #[sqlx(try_from = "DateTime<Utc>")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[sqlx(try_from = "DateTime<Utc>")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[sqlx(try_from = "i64")]
    #[schema(example = 3)]
    pub revision: u64,
}

pub type Attributes = BTreeMap<String, Attribute>;

impl Product {
    /// Whether everybody may see it.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.status == PUBLISHED
    }
}

const PUBLISHED: &str = "published";

#[derive(sqlx::FromRow)]
struct Price {
    price_amount: i64,
    price_currency: String,
}

impl TryFrom<Price> for Money {
    type Error = domain::money::InvalidCurrency;

    fn try_from(price: Price) -> Result<Self, Self::Error> {
        Ok(Self { amount: price.price_amount, currency: price.price_currency.parse()? })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
struct ProductRow {
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
}

impl Row for ProductRow {
    type Key = Uuid;

    const TABLE: &'static str = "products";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("id", Get::Uuid(|product| product.id)),
        ("sku", Text(|product| &product.sku)),
        ("name", Text(|product| &product.name)),
        ("description", TextOrNull(|product| product.description.as_deref())),
        ("department", TextOrNull(|product| product.department.as_deref())),
        ("category", TextOrNull(|product| product.category.as_deref())),
        ("product_type", TextOrNull(|product| product.product_type.as_deref())),
        ("brand", TextOrNull(|product| product.brand.as_deref())),
        ("attributes", Get::Json(|product| serde_json::to_string(&product.attributes))),
        ("price_amount", Long(|product| product.price_amount)),
        ("price_currency", Text(|product| &product.price_currency)),
        ("status", Text(|product| &product.status)),
        ("created_at", Time(|product| product.created_at)),
        ("updated_at", Time(|product| product.updated_at)),
    ];

    fn evolve(row: Option<Self>, event: &AnyEvent, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        let AnyEvent::Product(event) = event else { return Err(Inapplicable::WrongStream) };
        match row {
            None => Self::begin(event, origin),
            Some(product) => product.go_on(event, origin),
        }
        .map(Some)
    }
}

impl Showing for ProductRow {
    fn show(&self, revision: i64) -> Result<String, serde_json::Error> {
        let row = self.clone();
        let currency = row.price_currency.parse().map_err(serde_json::Error::custom)?;
        serde_json::to_string(&Product {
            id: row.id,
            sku: row.sku,
            name: row.name,
            description: row.description,
            department: row.department,
            category: row.category,
            product_type: row.product_type,
            brand: row.brand,
            attributes: Document::of(&row.attributes.0)?,
            price: Money { amount: row.price_amount, currency },
            status: row.status,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            // Of a row that a fold has made, it is counted from one.
            revision: revision.unsigned_abs(),
        })
    }
}

impl ProductRow {
    fn begin(event: &Event, origin: &Origin<'_, Uuid>) -> Result<Self, Inapplicable> {
        let Event::Created { sku, details, price } = event else {
            return Err(Inapplicable::UnknownStream);
        };
        let mut product = Self {
            id: *origin.key,
            sku: sku.to_string(),
            price_amount: price.amount,
            price_currency: price.currency.to_string(),
            status: "draft".into(),
            created_at: origin.recorded_at,
            updated_at: origin.recorded_at,
            ..Self::default()
        };
        product.describe(details);
        Ok(product)
    }

    fn go_on(mut self, event: &Event, origin: &Origin<'_, Uuid>) -> Result<Self, Inapplicable> {
        match event {
            Event::Created { .. } => return Err(Inapplicable::ExistsAlready),
            Event::Updated { details } => self.describe(details),
            Event::PriceChanged { price } => {
                self.price_amount = price.amount;
                self.price_currency = price.currency.to_string();
            }
            Event::Published {} => self.status = PUBLISHED.into(),
            Event::Unpublished {} => self.status = "unpublished".into(),
            Event::Archived { .. } => self.status = "archived".into(),
        }
        self.updated_at = origin.recorded_at;
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
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{fold, recorded_at, usd};

    const ID: Uuid = Uuid::from_u128(1);

    fn created() -> Value {
        let details =
            json!({ "name": "Milk", "department": "DAIRY", "attributes": { "fat": 3.5 } });
        json!({ "type": "created", "data": { "sku": "M-1", "details": details, "price": usd(120) } })
    }

    #[test]
    fn a_product_is_as_its_last_events_say() {
        let events = [
            created(),
            json!({ "type": "updated", "data": { "details": { "name": "Whole milk" } } }),
            json!({ "type": "price_changed", "data": { "price": usd(130) } }),
            json!({ "type": "published", "data": {} }),
        ];
        let product = fold::<ProductRow>(StreamType::Product, ID, &events).unwrap().0.unwrap();
        let expected = ProductRow {
            id: ID,
            sku: "M-1".into(),
            name: "Whole milk".into(),
            price_amount: 130,
            price_currency: "USD".into(),
            status: "published".into(),
            created_at: recorded_at(1),
            updated_at: recorded_at(4),
            ..ProductRow::default()
        };
        assert_eq!(product, expected);
    }

    #[test]
    fn an_event_that_does_not_follow_is_refused() {
        let published = json!({ "type": "published", "data": {} });
        assert_eq!(
            fold::<ProductRow>(StreamType::Product, ID, &[published]),
            Err(Inapplicable::UnknownStream)
        );
        assert_eq!(
            fold::<ProductRow>(StreamType::Product, ID, &[created(), created()]),
            Err(Inapplicable::ExistsAlready)
        );
    }
}
