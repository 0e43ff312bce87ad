//! One payment of an order through a provider: requested, then authorised, declined or expired.
//!
//! It is open until the provider answers or its deadline comes, and what closed it stands. A provider's
//! yes that comes too late is refused, so that the caller gives the money back.
//!
//! To wait for the provider is a state with a deadline, not a task: whoever was to ask may die, or
//! find the provider away, and it is asked once more when the time has come.

mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Refusal, RejectionKind},
    id::{OrderId, PaymentId, StreamId},
    money::Money,
    personal::{Texts, texts},
    stock,
    timestamp::Timestamp,
};

pub use state::*;

/// How long the provider has to answer.
pub const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// How long the provider is waited for before it is asked once more; then twice as long, and so on,
/// as long as that ends before the payment does. One call takes less than this.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How long the buyer has to act, from when the provider asks for it.
pub const ACTION_WAIT: Duration = Duration::from_secs(10 * 60);

/// What lies between the hold of the stock and the request, and between the answer and the commit.
const MARGIN_SECS: u64 = 3 * 60;

// A hold that ran out before the answer would sell to two buyers, or take money for nothing.
const _: () = assert!(
    ANSWER_WAIT.as_secs() + ACTION_WAIT.as_secs() + MARGIN_SECS < stock::HOLD.as_secs(),
    "the longest payment must end well before the hold of its stock"
);

/// The method token of money that has changed hands already.
pub const CASH: &str = "cash";

/// Why no provider is needed, as the reference that the payment then bears: cash was taken at the
/// till, and zero needs no taking. Such a request is authorised in its own commit.
#[must_use]
pub fn settled_reference(method_token: &str, amount: Money) -> Option<&'static str> {
    if method_token == CASH {
        Some("cash")
    } else if amount.amount == 0 {
        Some("zero")
    } else {
        None
    }
}

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

/// The stored format. Nothing is renamed, ever; the golden files are the judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A provider is asked for money.
    Requested {
        /// What is to be paid.
        order_id: OrderId,
        /// How much.
        amount: Money,
        /// Who is asked.
        provider: String,
        /// The provider's word for the means of payment, or `cash`.
        method_token: String,
        /// When the payment expires unless the provider has answered.
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
        /// When it is asked the next time; absent if this is the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask_again_at: Option<Timestamp>,
    },
    /// The buyer must act with the provider (3-D Secure) before it can be authorised.
    ActionRequired {
        /// What the provider calls the payment.
        reference: String,
        /// The buyer gets longer than a provider: it replaces the deadline of the request.
        expires_at: Timestamp,
    },
    /// The provider holds the money for the order.
    Authorised {
        /// What is paid.
        order_id: OrderId,
        /// How much is held.
        amount: Money,
        /// What the provider calls the payment.
        reference: String,
    },
    /// The provider said no.
    Declined {
        /// What is not paid.
        order_id: OrderId,
        /// Why, in the provider's code.
        code: String,
        /// Why, in the provider's words.
        detail: String,
    },
    /// The provider did not answer in time.
    Expired {
        /// What is not paid.
        order_id: OrderId,
    },
    /// Given back before it was captured.
    Voided {
        /// Why, such as `order_rejected`.
        reason: String,
    },
}

impl Decide for Payment {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command.clone() {
            Command::Request { order_id, amount, provider, method_token } => {
                self.ask(Request { order_id, amount, provider, method_token }, now)
            }
            Command::RequireAction { reference } => self.require_action(reference, now),
            Command::RecordAuthorisation { reference } => self.authorise(reference),
            Command::RecordDecline { code, detail } => self.decline(code, detail),
            Command::Void { reason } => self.void(reason),
            Command::Expire => self.expire(now),
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.ask_again_at().into_iter().chain(self.expires_at()).min()
    }

    fn expire() -> Option<Command> {
        Some(Command::Expire)
    }
}

impl Aggregate for Payment {
    const NAME: &'static str = "payment";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "8a28e0552c3ecc5a";
    const TEXTS: &'static [Texts] = texts! {
        "action_required": ["reference"] [];
        "asked_again": [] [];
        "authorised": ["reference"] [];
        "declined": ["detail"] ["code"];
        "expired": [] [];
        "requested": ["method_token"] ["provider"];
        "voided": [] ["reason"];
    };

    type Id = PaymentId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::testing::{NOW, usd, uuid};
        let order_id = OrderId::new(uuid(2));
        let amount = usd(250);
        let requested = |ask_again_at| Event::Requested {
            order_id,
            amount,
            provider: "sandbox".into(),
            method_token: "tok_ok".into(),
            expires_at: NOW.plus(ANSWER_WAIT),
            ask_again_at,
        };
        vec![
            requested(None),
            requested(Some(NOW.plus(ASK_AGAIN_AFTER))),
            Event::AskedAgain { attempt: 2, ask_again_at: Some(NOW.plus(Duration::from_secs(30))) },
            Event::ActionRequired { reference: "pay_1".into(), expires_at: NOW.plus(ACTION_WAIT) },
            Event::Authorised { order_id, amount, reference: "pay_1".into() },
            Event::Declined {
                order_id,
                code: "card_declined".into(),
                detail: "The card was declined.".into(),
            },
            Event::Expired { order_id },
            Event::Voided { reason: "order_rejected".into() },
        ]
    }
}

/// When to ask after the attempt of this number, if there is time left.
fn ask_again_at(attempt: u32, now: Timestamp, expires_at: Timestamp) -> Option<Timestamp> {
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
    let at = now.plus(ASK_AGAIN_AFTER.saturating_mul(doubled));
    (at < expires_at).then_some(at)
}

impl Payment {
    fn requested(&self) -> Result<&Request, Rejection> {
        self.request.as_ref().ok_or(Rejection::NotFound)
    }

    fn ask(&self, wanted: Request, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match &self.request {
            Some(request) if *request == wanted => return Ok(vec![]),
            Some(_) => return Err(Rejection::Exists),
            None if wanted.amount.amount < 0 => return Err(Rejection::AmountNegative),
            None => {}
        }
        let Request { order_id, amount, provider, method_token } = wanted;
        let authorised = settled_reference(&method_token, amount)
            .map(|reference| Event::Authorised { order_id, amount, reference: reference.into() });
        let expires_at = now.plus(ANSWER_WAIT);
        // What is settled in its own commit asks nobody.
        let ask_again_at = ask_again_at(1, now, expires_at).filter(|_| authorised.is_none());
        let requested =
            Event::Requested { order_id, amount, provider, method_token, expires_at, ask_again_at };
        Ok([requested].into_iter().chain(authorised).collect())
    }

    fn require_action(&self, reference: String, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        self.requested()?;
        match self.status {
            Status::Requested => {
                Ok(vec![Event::ActionRequired { reference, expires_at: now.plus(ACTION_WAIT) }])
            }
            Status::ActionRequired if self.has(&reference) => Ok(vec![]),
            Status::ActionRequired => Err(Rejection::ReferenceDiffers),
            Status::Authorised | Status::Declined | Status::Expired | Status::Voided => {
                Err(self.closed())
            }
        }
    }

    fn authorise(&self, reference: String) -> Result<Vec<Event>, Rejection> {
        let Request { order_id, amount, .. } = *self.requested()?;
        match self.status {
            Status::ActionRequired if !self.has(&reference) => Err(Rejection::ReferenceDiffers),
            Status::Requested | Status::ActionRequired => {
                Ok(vec![Event::Authorised { order_id, amount, reference }])
            }
            Status::Authorised if self.has(&reference) => Ok(vec![]),
            Status::Authorised | Status::Declined | Status::Expired | Status::Voided => {
                Err(self.closed())
            }
        }
    }

    fn decline(&self, code: String, detail: String) -> Result<Vec<Event>, Rejection> {
        let order_id = self.requested()?.order_id;
        match self.status {
            Status::Requested | Status::ActionRequired => {
                Ok(vec![Event::Declined { order_id, code, detail }])
            }
            Status::Declined => Ok(vec![]),
            Status::Authorised | Status::Expired | Status::Voided => Err(self.closed()),
        }
    }

    /// Afterwards no money is held, whatever was before. An open payment may be voided too: a yes
    /// that comes later is refused.
    fn void(&self, reason: String) -> Result<Vec<Event>, Rejection> {
        self.requested()?;
        Ok(match self.status {
            Status::Requested | Status::ActionRequired | Status::Authorised => {
                vec![Event::Voided { reason }]
            }
            Status::Declined | Status::Expired | Status::Voided => vec![],
        })
    }

    fn expire(&self, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        let order_id = self.requested()?.order_id;
        let is_due = |at: &Timestamp| *at <= now;
        if self.expires_at().as_ref().is_some_and(is_due) {
            return Ok(vec![Event::Expired { order_id }]);
        }
        let again = self.ask_again_at().filter(is_due).zip(self.expires_at());
        let again = again.map(|(_, expires_at)| {
            let attempt = self.attempts().saturating_add(1);
            Event::AskedAgain { attempt, ask_again_at: ask_again_at(attempt, now, expires_at) }
        });
        Ok(again.into_iter().collect())
    }

    fn has(&self, reference: &str) -> bool {
        self.reference.as_deref() == Some(reference)
    }

    fn closed(&self) -> Rejection {
        Rejection::Closed { status: self.status }
    }
}

impl PaymentId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<Payment>(&self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no payment with this id")]
    NotFound,
    #[error("a payment with this id was requested with other terms: use another id")]
    Exists,
    #[error("the amount of a payment must not be negative")]
    AmountNegative,
    #[error("the payment is {} already", .status.as_str())]
    Closed { status: Status },
    #[error("the payment is known to the provider by another reference")]
    ReferenceDiffers,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "payment.not_found"),
            Self::Exists => (Conflict, "payment.exists"),
            Self::AmountNegative => (Rule, "payment.amount_negative"),
            Self::Closed { .. } => (Conflict, "payment.closed"),
            Self::ReferenceDiffers => (Conflict, "payment.reference_differs"),
        }
    }
}
