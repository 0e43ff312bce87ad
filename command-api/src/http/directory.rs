//! Issued keys, as their aggregates have them.
//!
//! That a key still holds is read linearizably, which costs a record in the log. So it is asked only
//! where the answer can be yes: what a confirmed state of the key says against it is final, for a hash
//! never changes and nothing takes a revocation back, and a key that nobody issued is told from one
//! that was issued a moment ago by its signature. Whoever makes keys up costs the log nothing.

use async_trait::async_trait;
use domain::{State, id::StreamId};
use infra::auth::{Found, Inquiry, KeyDirectory, KeyRecord, Unavailable};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    admission::Admission,
    state::{EngineSlot, read_one},
};
use crate::engine::{Consistency, Engine};

pub(super) struct EngineDirectory {
    pub(super) engine: EngineSlot,
    pub(super) admission: Admission,
    /// What keys are signed with.
    pub(super) signing: SecretString,
}

#[async_trait]
impl KeyDirectory for EngineDirectory {
    async fn find(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable> {
        let Ok(engine) = self.engine.get() else {
            return Err(Unavailable::Away("no event log yet".into()));
        };
        let stream = inquiry.id.stream();
        let as_of = Instant::now();
        let found = |record| Found { record, as_of, seen: None };
        let known = self.look(engine, &stream, Consistency::Serializable).await?;
        let may_hold = match &known {
            Some(record) => record.hash.matches(&inquiry.hash) && !record.revoked,
            None => inquiry.is_signed(&self.signing),
        };
        if !may_hold {
            return Ok(found(known));
        }
        self.look(engine, &stream, Consistency::Linearizable).await.map(found)
    }
}

impl EngineDirectory {
    async fn look(
        &self,
        engine: &Engine,
        stream: &StreamId,
        consistency: Consistency,
    ) -> Result<Option<KeyRecord>, Unavailable> {
        let read = read_one(engine, &self.admission, stream, consistency).await;
        let snapshot = read.map_err(|error| Unavailable::Away(Box::new(error)))?;
        let State::ApiKey(key) = snapshot.state else { return Ok(None) };
        let Some(issued) = key.issued else { return Ok(None) };
        let hash = issued.hash.parse().map_err(|error| Unavailable::Away(Box::new(error)))?;
        let (roles, expires_at) = (issued.roles, issued.expires_at);
        Ok(Some(KeyRecord { hash, roles, expires_at, revoked: key.revoked }))
    }
}
