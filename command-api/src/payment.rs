//! Money from buyers: what a payment provider must offer, and the sandbox that plays one.
//!
//! A provider is asked under the payment's id as its idempotency key, so that asking again after a
//! crash never authorises twice.

mod breaker;
mod desk;
mod sandbox;
mod signature;

use async_trait::async_trait;
use domain::{id::PaymentId, money::Money, timestamp::Timestamp};

pub use desk::{CallFailed, Desk};
pub use sandbox::Sandbox;
pub use signature::{SignatureError, WebhookSecret};

/// What a provider is asked to hold for us.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorisation {
    /// Also the provider's idempotency key.
    pub payment_id: PaymentId,
    pub amount: Money,
    pub method_token: String,
    /// An answer after this instant comes too late: the payment has expired.
    pub expires_at: Timestamp,
}

/// What the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Authorised {
        reference: String,
    },
    Declined {
        code: String,
        detail: String,
    },
    /// The buyer must act with the provider; a webhook tells how it went.
    ActionRequired {
        reference: String,
    },
}

/// The provider could not be asked, or its answer is not known. Asking again is safe.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider gave no answer")]
pub struct ProviderUnavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A service that moves money.
#[async_trait]
pub trait PaymentProvider: Send + Sync + 'static {
    /// As payments and webhook paths name it.
    fn name(&self) -> &'static str;

    /// Asks for the money. The desk bounds how long that may take.
    async fn authorise(&self, request: &Authorisation) -> Result<Decision, ProviderUnavailable>;

    /// Gives back whatever was or will be authorised for this payment. Voiding again is fine.
    async fn void(&self, payment_id: PaymentId) -> Result<(), ProviderUnavailable>;
}
