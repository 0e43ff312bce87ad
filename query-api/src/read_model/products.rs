//! Products: one by id or SKU, and the catalogue in pages.

mod list;

use chrono::{DateTime, Utc};
use domain::{
    id::{ProductId, Sku},
    timestamp::Timestamp,
};
use infra::postgres::Pool;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{FromRow, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Entity, ReadError, ReadModel,
    batch::Lookup,
    document::{revision, undecodable},
};

pub(crate) use list::{After, ProductFilter, ProductSort};

/// A product as it is shown; what is not known of it is null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Product {
    pub(crate) id: Uuid,
    #[schema(example = "1082185")]
    sku: String,
    pub(crate) name: String,
    description: Option<String>,
    department: Option<String>,
    category: Option<String>,
    product_type: Option<String>,
    brand: Option<String>,
    #[schema(value_type = Object)]
    attributes: Box<RawValue>,
    pub(crate) price: Money,
    /// `draft`, `published`, `unpublished` or `archived`; the public sees published ones only.
    status: String,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(example = 3)]
    revision: u64,
}

/// An amount in minor units of a currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Money {
    /// Minor units: 1250 is 12.50 USD.
    #[schema(example = 1250)]
    pub(crate) amount: i64,
    /// ISO 4217.
    #[schema(example = "USD")]
    pub(crate) currency: String,
}

/// A product, and whether everybody may see it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) entity: Entity,
    pub(crate) is_published: bool,
}

pub(super) struct ById;
pub(super) struct BySku;

const BY_ID: &str = "
    SELECT id, sku, name, description, department, category, product_type, brand,
           attributes::text, price_amount, price_currency, status, created_at, updated_at, revision
    FROM read.products WHERE id = ANY($1)";

/// Several products may have had a SKU one after the other; the one that is not archived has it now.
/// If there is none, the one that had it last counts.
const BY_SKU: &str = "
    SELECT DISTINCT ON (sku)
           id, sku, name, description, department, category, product_type, brand,
           attributes::text, price_amount, price_currency, status, created_at, updated_at, revision
    FROM read.products WHERE sku = ANY($1)
    ORDER BY sku, status = 'archived', status <> 'published', created_at DESC";

impl Lookup for ById {
    const NAME: &'static str = "products";
    type Key = Uuid;
    type Row = Found;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Found)>, sqlx::Error> {
        let products: Vec<Product> = sqlx::query_as(BY_ID).bind(ids).fetch_all(pool).await?;
        products.into_iter().map(|product| Ok((product.id, product.found()?))).collect()
    }
}

impl Lookup for BySku {
    const NAME: &'static str = "products_by_sku";
    type Key = Sku;
    type Row = Found;

    async fn find(pool: &Pool, skus: &[Sku]) -> Result<Vec<(Sku, Found)>, sqlx::Error> {
        let skus: Vec<_> = skus.iter().map(Sku::as_str).collect();
        let products: Vec<Product> = sqlx::query_as(BY_SKU).bind(skus).fetch_all(pool).await?;
        let found = products.into_iter().map(|product| {
            let sku = product.sku.parse().map_err(undecodable)?;
            Ok((sku, product.found()?))
        });
        found.collect()
    }
}

impl Product {
    fn found(&self) -> Result<Found, sqlx::Error> {
        let entity = Entity::of(self.revision, self)?;
        Ok(Found { entity, is_published: self.status == "published" })
    }
}

impl FromRow<'_, PgRow> for Product {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let attributes: String = row.try_get("attributes")?;
        Ok(Self {
            id: row.try_get("id")?,
            sku: row.try_get("sku")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            department: row.try_get("department")?,
            category: row.try_get("category")?,
            product_type: row.try_get("product_type")?,
            brand: row.try_get("brand")?,
            attributes: RawValue::from_string(attributes).map_err(undecodable)?,
            price: Money {
                amount: row.try_get("price_amount")?,
                currency: row.try_get("price_currency")?,
            },
            status: row.try_get("status")?,
            created_at: row.try_get::<DateTime<Utc>, _>("created_at")?.into(),
            updated_at: row.try_get::<DateTime<Utc>, _>("updated_at")?.into(),
            revision: revision(row.try_get("revision")?)?,
        })
    }
}

impl ReadModel {
    pub(crate) async fn product(&self, id: ProductId) -> Result<Option<Found>, ReadError> {
        self.products.find(id.uuid()).await
    }

    pub(crate) async fn product_by_sku(&self, sku: Sku) -> Result<Option<Found>, ReadError> {
        self.products_by_sku.find(sku).await
    }
}
