//! Products: one by id or SKU, and the catalogue in pages.

mod list;

use domain::id::{ProductId, Sku};
use infra::postgres::Pool;
use read_models::products::Product;
use uuid::Uuid;

use super::{Entity, ReadError, ReadModel, batch::Lookup, document::undecodable};

pub(crate) use list::{After, ProductFilter, ProductSort};

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
           attributes, price_amount, price_currency, status, created_at, updated_at, revision
    FROM read.products WHERE id = ANY($1)";

/// Several products may have had a SKU one after the other; the one that is not archived has it now.
/// If there is none, the one that had it last counts.
const BY_SKU: &str = "
    SELECT DISTINCT ON (sku)
           id, sku, name, description, department, category, product_type, brand,
           attributes, price_amount, price_currency, status, created_at, updated_at, revision
    FROM read.products WHERE sku = ANY($1)
    ORDER BY sku, status = 'archived', status <> 'published', created_at DESC";

impl Lookup for ById {
    const NAME: &'static str = "products";
    type Key = Uuid;
    type Row = Found;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Found)>, sqlx::Error> {
        let products: Vec<Product> = sqlx::query_as(BY_ID).bind(ids).fetch_all(pool).await?;
        products.iter().map(|product| Ok((product.id, found(product)?))).collect()
    }
}

impl Lookup for BySku {
    const NAME: &'static str = "products_by_sku";
    type Key = Sku;
    type Row = Found;

    async fn find(pool: &Pool, skus: &[Sku]) -> Result<Vec<(Sku, Found)>, sqlx::Error> {
        let skus: Vec<_> = skus.iter().map(Sku::as_str).collect();
        let products: Vec<Product> = sqlx::query_as(BY_SKU).bind(skus).fetch_all(pool).await?;
        let found = |it: &Product| Ok((it.sku.parse().map_err(undecodable)?, found(it)?));
        products.iter().map(found).collect()
    }
}

fn found(product: &Product) -> Result<Found, sqlx::Error> {
    let entity = Entity::of(product.revision, product)?;
    Ok(Found { entity, is_published: product.is_published() })
}

impl ReadModel {
    pub(crate) async fn product(&self, id: ProductId) -> Result<Option<Found>, ReadError> {
        self.products.find(id.uuid()).await
    }

    pub(crate) async fn product_by_sku(&self, sku: Sku) -> Result<Option<Found>, ReadError> {
        self.products_by_sku.find(sku).await
    }
}
