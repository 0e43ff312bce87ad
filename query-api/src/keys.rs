//! Issued API keys, from their read model: believed only while that is known to be level.

use async_trait::async_trait;
use infra::auth::{Found, Inquiry, Issued, KeyDirectory, Unavailable};
use secrecy::SecretString;

use crate::{
    freshness::{Freshness, Projection},
    read_model::ReadModel,
};

pub(crate) struct Keys {
    pub(crate) read_model: ReadModel,
    pub(crate) freshness: Freshness,
    /// What keys are signed with.
    pub(crate) signing: SecretString,
}

#[async_trait]
impl KeyDirectory for Keys {
    async fn find(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable> {
        let found = self.find_at_least(inquiry).await?;
        // It may have been issued a moment ago. Nobody else could have signed it, so none but those
        // who were given a key wait here.
        let is_news = found.record.is_none() && found.as_of < inquiry.asked_at;
        if !is_news || !inquiry.is_signed(&self.signing) {
            return Ok(found);
        }
        let (client, patience, stream) = (inquiry.client, inquiry.patience, inquiry.id.stream());
        let asked_at = inquiry.asked_at;
        self.freshness
            .level(Projection::ApiKeys, &stream, asked_at, client, patience)
            .await
            .ok_or(Unavailable::Stale)?;
        self.find_at_least(inquiry).await
    }
}

impl Keys {
    /// What is there once the client's position is applied in the shard of the key.
    async fn find_at_least(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable> {
        let (client, patience, stream) = (inquiry.client, inquiry.patience, inquiry.id.stream());
        let stand = self
            .freshness
            .stand(Projection::ApiKeys, &stream, &inquiry.at_least, client, patience)
            .await
            .ok_or(Unavailable::Stale)?;
        let issued = self.read_model.api_key(inquiry.id).await;
        let record = match issued.map_err(|error| Unavailable::Away(error.into()))? {
            Some(Issued::Known(record)) => Some(record),
            Some(Issued::Parked) => return Err(Unavailable::Stale),
            None => None,
        };
        Ok(Found { record, as_of: stand.as_of, seen: stand.seen })
    }
}
