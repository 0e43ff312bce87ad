//! What is on hand of a SKU, what of it is reserved, and what is left to sell.

use domain::id::Sku;
use infra::postgres::Pool;
use read_models::stock::Stock;

use super::{
    Entity, ReadError, ReadModel,
    batch::Lookup,
    document::{revision, undecodable},
};

pub(super) struct BySku;

impl Lookup for BySku {
    const NAME: &'static str = "stock";
    type Key = Sku;
    type Row = Entity;

    async fn find(pool: &Pool, skus: &[Sku]) -> Result<Vec<(Sku, Entity)>, sqlx::Error> {
        let skus: Vec<_> = skus.iter().map(Sku::as_str).collect();
        let rows: Vec<Stock> = sqlx::query_as(
            "SELECT sku, on_hand, reserved, available, revision
             FROM read.stock WHERE sku = ANY($1)",
        )
        .bind(skus)
        .fetch_all(pool)
        .await?;
        rows.iter().map(entity).collect()
    }
}

fn entity(stock: &Stock) -> Result<(Sku, Entity), sqlx::Error> {
    let sku = stock.sku.parse().map_err(undecodable)?;
    Ok((sku, Entity::of(revision(stock.revision)?, stock)?))
}

impl ReadModel {
    pub(crate) async fn stock(&self, sku: Sku) -> Result<Option<Entity>, ReadError> {
        self.stock.find(sku).await
    }
}
