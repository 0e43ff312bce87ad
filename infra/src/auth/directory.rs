//! Where issued keys are found, and how it is asked.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use axum::http::request::Parts;
use domain::{
    api_key::{ApiKeyId, Role},
    timestamp::Timestamp,
};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{ApiKey, Client, KeyHash};
use crate::{
    http::headers::{AtLeast, PreferWait},
    position::{Entry, Position},
};

/// How old our knowledge of a key may be, which is how late a revocation may take effect. When it is
/// older, we cannot say whether the key holds, so the answer is 503.
pub const KEY_AGE_MAX: Duration = Duration::from_secs(5);

/// What is known of an issued key.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    pub hash: KeyHash,
    pub roles: BTreeSet<Role>,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
}

/// A key that a request brings.
pub struct Inquiry<'r> {
    pub id: ApiKeyId,
    pub hash: KeyHash,
    text: &'r str,
    /// What the client has seen: the key must be judged by no less.
    pub at_least: Position,
    /// How long the client would wait for all of this. A key that is believed anyway does not wait.
    pub until: Instant,
    pub client: Client,
    pub asked_at: Instant,
}

/// What there is to know of a key.
#[derive(Clone, Debug)]
pub struct Found {
    /// `None` if nobody has issued it.
    pub record: Option<KeyRecord>,
    /// All that was acknowledged before this moment has been taken into account.
    pub as_of: Instant,
    /// And all of the key's shard before this position, where positions are known.
    pub seen: Option<Entry>,
}

/// Where issued keys are found.
#[async_trait]
pub trait KeyDirectory: Send + Sync + 'static {
    async fn find(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable>;
}

/// The directory cannot answer now.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// It has not come as far as it would have to.
    #[error("what is known of API keys is too old")]
    Stale,
    #[error("API keys cannot be looked up")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl<'r> Inquiry<'r> {
    pub(super) fn of(parts: &'r Parts, text: &'r str, hash: KeyHash) -> Option<Self> {
        // There is no waiting for a position that cannot be read; the gate refuses it later.
        let AtLeast(at_least) = AtLeast::from_headers(&parts.headers).unwrap_or_default();
        Some(Self {
            id: ApiKey::id_of(text)?,
            hash,
            text,
            at_least,
            until: PreferWait::from_headers(&parts.headers).until(),
            client: Client::of_connection(parts),
            asked_at: Instant::now(),
        })
    }

    /// Whether the key was signed with this secret.
    #[must_use]
    pub fn is_signed(&self, signing: &SecretString) -> bool {
        ApiKey::is_signed(self.text, signing)
    }

    /// Whether a state of the key's shard up to there includes what the client has seen.
    #[must_use]
    pub fn is_seen_by(&self, seen: Option<Entry>) -> bool {
        let Some(seen) = seen else { return self.at_least.is_empty() };
        let in_shard = self.at_least.entries().filter(|wanted| wanted.shard == seen.shard);
        in_shard
            .into_iter()
            .all(|it| it.log_id != seen.log_id || it.next_offset <= seen.next_offset)
    }
}
