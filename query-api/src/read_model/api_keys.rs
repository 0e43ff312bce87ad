//! Issued API keys, for the authenticator.

use domain::id::ApiKeyId;
use infra::{
    auth::{Issued, issued_keys},
    postgres::Pool,
};
use uuid::Uuid;

use super::{ReadError, ReadModel, batch::Lookup};

pub(super) struct ById;

impl Lookup for ById {
    const NAME: &'static str = "api_keys";
    type Key = Uuid;
    type Row = Issued;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Issued)>, sqlx::Error> {
        issued_keys(pool, ids).await
    }
}

impl ReadModel {
    pub(crate) async fn api_key(&self, id: ApiKeyId) -> Result<Option<Issued>, ReadError> {
        self.api_keys.find(id.uuid()).await
    }
}
