//! Wish lists, as the documents that the projector made: the worked example of docs/adding.md.

use domain::wish_list::WishListId;
use infra::postgres::Pool;
use read_models::wish_lists::WishList;
use uuid::Uuid;

use super::{Entity, ReadError, ReadModel, batch::Lookup};

pub(super) struct ById;

impl Lookup for ById {
    const NAME: &'static str = "wish_lists";
    type Key = Uuid;
    type Row = Entity;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Entity)>, sqlx::Error> {
        let lists: Vec<WishList> =
            sqlx::query_as("SELECT id, doc, revision FROM read.wish_lists WHERE id = ANY($1)")
                .bind(ids)
                .fetch_all(pool)
                .await?;
        lists.iter().map(|list| Ok((list.head.id, Entity::shown(list)?))).collect()
    }
}

impl ReadModel {
    pub(crate) async fn wish_list(&self, id: WishListId) -> Result<Option<Entity>, ReadError> {
        self.wish_lists.find(id.uuid()).await
    }
}
