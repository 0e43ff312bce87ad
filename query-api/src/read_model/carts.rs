//! Carts, as the documents that the projector made.

use domain::id::CartId;
use infra::postgres::Pool;
use read_models::carts::Cart;
use uuid::Uuid;

use super::{Entity, ReadError, ReadModel, batch::Lookup};

pub(super) struct ById;

impl Lookup for ById {
    const NAME: &'static str = "carts";
    type Key = Uuid;
    type Row = Entity;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Entity)>, sqlx::Error> {
        let carts: Vec<Cart> =
            sqlx::query_as("SELECT id, status, doc, revision FROM read.carts WHERE id = ANY($1)")
                .bind(ids)
                .fetch_all(pool)
                .await?;
        carts.iter().map(|cart| Ok((cart.head.id, Entity::shown(cart)?))).collect()
    }
}

impl ReadModel {
    pub(crate) async fn cart(&self, id: CartId) -> Result<Option<Entity>, ReadError> {
        self.carts.find(id.uuid()).await
    }
}
