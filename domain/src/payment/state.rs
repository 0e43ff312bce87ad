//! What a payment has become.

use serde::{Deserialize, Serialize};

use crate::{aggregate::Evolve, id::OrderId, money::Money, payment::Event, timestamp::Timestamp};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// `None` until it is requested.
    pub request: Option<Request>,
    pub status: Status,
    /// The provider's name for it, once it gave one.
    pub reference: Option<String>,
    /// While it is open: when it expires.
    expires_at: Option<Timestamp>,
    /// While the provider's answer is awaited: when it is asked once more.
    ask_again_at: Option<Timestamp>,
    /// How often the provider was asked, the request included.
    attempts: u32,
}

/// What was asked of the provider; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub order_id: OrderId,
    pub amount: Money,
    pub provider: String,
    pub method_token: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[default]
    Requested,
    ActionRequired,
    Authorised,
    Declined,
    Expired,
    Voided,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::ActionRequired => "action_required",
            Self::Authorised => "authorised",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Voided => "voided",
        }
    }

    /// The provider's answer is still awaited.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Requested | Self::ActionRequired)
    }
}

impl Payment {
    /// When an open payment expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.status.is_open())
    }

    /// When the provider is asked once more; nobody asks it while it waits for the buyer.
    #[must_use]
    pub fn ask_again_at(&self) -> Option<Timestamp> {
        self.ask_again_at.filter(|_| self.status == Status::Requested)
    }

    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl Evolve for Payment {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event.clone() {
            Event::Requested {
                order_id,
                amount,
                provider,
                method_token,
                expires_at,
                ask_again_at,
            } => {
                self.request = Some(Request { order_id, amount, provider, method_token });
                self.expires_at = Some(expires_at);
                self.ask_again_at = ask_again_at;
                self.attempts = 1;
            }
            Event::AskedAgain { attempt, ask_again_at } => {
                self.ask_again_at = ask_again_at;
                self.attempts = attempt;
            }
            Event::ActionRequired { reference, expires_at } => {
                self.status = Status::ActionRequired;
                self.reference = Some(reference);
                self.expires_at = Some(expires_at);
            }
            Event::Authorised { reference, .. } => {
                self.status = Status::Authorised;
                self.reference = Some(reference);
            }
            Event::Declined { .. } => self.status = Status::Declined,
            Event::Expired { .. } => self.status = Status::Expired,
            Event::Voided { .. } => self.status = Status::Voided,
        }
    }
}
