//! The stored format. Nothing is renamed, ever; the golden files are the judge.

use serde::{Deserialize, Serialize};

use crate::{id::OrderId, money::Money, timestamp::Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    Requested {
        order_id: OrderId,
        amount: Money,
        provider: String,
        method_token: String,
        expires_at: Timestamp,
        /// When the provider is asked once more unless it has answered. Releases before this field
        /// went on asking by themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask_again_at: Option<Timestamp>,
    },
    /// The provider has not answered: it is asked once more.
    AskedAgain {
        /// The request was the first.
        attempt: u32,
        /// `None`: this is the last time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask_again_at: Option<Timestamp>,
    },
    /// The buyer must act with the provider (3-D Secure) before it can be authorised.
    ActionRequired {
        reference: String,
        /// The buyer gets longer than a provider: it replaces the deadline of the request.
        expires_at: Timestamp,
    },
    Authorised {
        order_id: OrderId,
        amount: Money,
        reference: String,
    },
    Declined {
        order_id: OrderId,
        code: String,
        detail: String,
    },
    /// The provider did not answer in time.
    Expired {
        order_id: OrderId,
    },
    /// Given back before it was captured.
    Voided {
        reason: String,
    },
}
