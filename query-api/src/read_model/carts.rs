//! Carts, as the documents that the projector made.

use domain::id::CartId;
use infra::postgres::Pool;
use uuid::Uuid;

use super::{
    Entity, ReadError, ReadModel,
    batch::Lookup,
    document::{revision, with_members},
};

pub(super) struct ById;

impl Lookup for ById {
    const NAME: &'static str = "carts";
    type Key = Uuid;
    type Row = Entity;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Entity)>, sqlx::Error> {
        let rows: Vec<(Uuid, String, String, i64)> = sqlx::query_as(
            "SELECT id, status, doc::text, revision FROM read.carts WHERE id = ANY($1)",
        )
        .bind(ids)
        .fetch_all(pool)
        .await?;
        rows.into_iter().map(entity).collect()
    }
}

fn entity(
    (id, status, doc, at): (Uuid, String, String, i64),
) -> Result<(Uuid, Entity), sqlx::Error> {
    // The status is one of the projector's words, so it needs no escaping.
    let members = format!(r#""id":"{id}","status":"{status}","revision":{at}"#);
    let body = with_members(&members, &doc)?;
    Ok((id, Entity { revision: revision(at)?, body: body.into() }))
}

impl ReadModel {
    pub(crate) async fn cart(&self, id: CartId) -> Result<Option<Entity>, ReadError> {
        self.carts.find(id.uuid()).await
    }
}
