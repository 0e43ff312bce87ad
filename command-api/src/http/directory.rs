//! Issued keys, as their aggregates have them.
//!
//! Whether a key still holds is read linearizably, which costs a record in the log. So this is done
//! only where the answer can be yes: what a confirmed state of the key says against it is final, for a
//! hash never changes and nothing takes a revocation back, and a key that nobody issued is told from one
//! that was issued a moment ago by its signature. So made-up keys cost the log nothing.
//!
//! What was read so stays true for a while (`proofs`): a confirmed state that reaches as far as the
//! client has seen, and says nothing against the key, needs no other proof meanwhile.

mod proofs;

use async_trait::async_trait;
use domain::api_key::{ApiKey, ApiKeyId};
use infra::auth::{Found, Inquiry, KeyDirectory, KeyRecord, Unavailable};
use secrecy::SecretString;
use tokio::time::Instant;

use super::engine_slot::EngineSlot;
use crate::engine::{Consistency, Engine, ReadError, until_room};
use proofs::Proofs;

pub(super) struct EngineDirectory {
    engine: EngineSlot,
    /// What keys are signed with.
    signing: SecretString,
    proofs: Proofs,
}

#[async_trait]
impl KeyDirectory for EngineDirectory {
    async fn find(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable> {
        let Ok(engine) = self.engine.get() else {
            return Err(Unavailable::Away("no event log yet".into()));
        };
        // A request that waits for room must hold no proof that others wait for.
        let found = until_room(|| self.find_now(engine, inquiry)).await;
        found.map_err(|error| Unavailable::Away(Box::new(error)))
    }
}

impl EngineDirectory {
    pub(super) fn new(engine: EngineSlot, signing: SecretString) -> Self {
        Self { engine, signing, proofs: Proofs::default() }
    }

    async fn find_now(&self, engine: &Engine, inquiry: &Inquiry<'_>) -> Result<Found, ReadError> {
        let id = inquiry.id;
        let known = self.look(engine, id, Consistency::Serializable).await?;
        let may_hold = match &known.record {
            Some(record) => record.hash.matches(&inquiry.hash) && !record.revoked,
            None => inquiry.is_signed(&self.signing),
        };
        if !may_hold {
            return Ok(known);
        }
        let speaks_for_it = known.record.is_some() && inquiry.is_seen_by(known.seen);
        let known = Some(&known).filter(|_| speaks_for_it);
        let read = || self.look(engine, id, Consistency::Linearizable);
        self.proofs.of(inquiry.id).of(known, inquiry.asked_at, read).await
    }

    async fn look(
        &self,
        engine: &Engine,
        id: ApiKeyId,
        consistency: Consistency,
    ) -> Result<Found, ReadError> {
        let as_of = Instant::now();
        let _place = engine.place(&id.stream())?;
        let (snapshot, at) = engine.show::<ApiKey>(&id, consistency).await?;
        let found = |record| Found { record, as_of, seen: at.entries().next() };
        let key = snapshot.state;
        let Some(issued) = &key.issued else { return Ok(found(None)) };
        let (roles, expires_at) = (issued.roles.clone(), issued.expires_at);
        // No release writes an invalid hash.
        let hash = issued.hash.parse().map_err(|_invalid| ReadError::StreamUnreadable)?;
        Ok(found(Some(KeyRecord { hash, roles, expires_at, revoked: key.revoked })))
    }
}
