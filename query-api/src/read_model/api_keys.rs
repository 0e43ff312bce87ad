//! Issued API keys, for the authenticator.

use async_trait::async_trait;
use domain::api_key::ApiKeyId;
use infra::{
    auth::{Issued, IssuedRows, issued_keys},
    log::BoxError,
    postgres::Pool,
};
use uuid::Uuid;

use super::{ReadModel, batch::Lookup};

pub(super) struct ById;

impl Lookup for ById {
    const NAME: &'static str = "api_keys";
    type Key = Uuid;
    type Row = Issued;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Issued)>, sqlx::Error> {
        issued_keys(pool, ids).await
    }
}

#[async_trait]
impl IssuedRows for ReadModel {
    async fn issued(&self, id: ApiKeyId) -> Result<Option<Issued>, BoxError> {
        Ok(self.api_keys.find(id.uuid()).await?)
    }
}
