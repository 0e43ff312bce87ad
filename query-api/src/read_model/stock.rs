//! What is on hand of a SKU, what of it is reserved, and what is left to sell.

use domain::id::Sku;
use infra::postgres::Pool;
use serde::Serialize;
use utoipa::ToSchema;

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
        let rows: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT sku, on_hand, reserved, available, revision
             FROM read.stock WHERE sku = ANY($1)",
        )
        .bind(skus)
        .fetch_all(pool)
        .await?;
        rows.into_iter().map(entity).collect()
    }
}

/// The stock of a SKU as it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stock<'a> {
    #[schema(value_type = String, example = "1082185")]
    sku: &'a Sku,
    on_hand: i64,
    /// Held for orders that are under way.
    reserved: i64,
    /// `on_hand - reserved`
    available: i64,
}

fn entity(
    (sku, on_hand, reserved, available, at): (String, i64, i64, i64, i64),
) -> Result<(Sku, Entity), sqlx::Error> {
    let sku: Sku = sku.parse().map_err(undecodable)?;
    let stock = Stock { sku: &sku, on_hand, reserved, available };
    let entity = Entity::of(revision(at)?, &stock)?;
    Ok((sku, entity))
}

impl ReadModel {
    pub(crate) async fn stock(&self, sku: Sku) -> Result<Option<Entity>, ReadError> {
        self.stock.find(sku).await
    }
}
