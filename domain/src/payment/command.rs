//! What can be asked of a payment.

use serde::{Deserialize, Serialize};

use crate::{id::OrderId, money::Money};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Request {
        order_id: OrderId,
        amount: Money,
        provider: String,
        method_token: String,
    },
    RequireAction {
        reference: String,
    },
    RecordAuthorisation {
        reference: String,
    },
    RecordDecline {
        code: String,
        detail: String,
    },
    Void {
        reason: String,
    },
    /// Time has come: the provider did not answer before it is to be asked once more, or before
    /// `expires_at`.
    Expire,
}
