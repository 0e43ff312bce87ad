//! What is on hand of a SKU, and who holds how much of it: nothing is sold that is not there, and
//! nothing is promised twice.

mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Refusal, RejectionKind},
    id::{OrderId, ReservationId, Sku, StreamId},
    personal::{Texts, texts},
    timestamp::Timestamp,
};

pub use state::*;

/// How long units are held for an order that is not paid yet.
pub const HOLD: Duration = Duration::from_secs(15 * 60);

/// The most of one SKU that can be on hand; more is refused.
pub const ON_HAND_MAX: u32 = 1_000_000_000;

/// The most reservations that one SKU carries at a time; one more is refused.
pub const HOLDS_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Receive {
        quantity: u32,
        reference: Option<String>,
    },
    Adjust {
        delta: i64,
        reason: String,
    },
    Reserve {
        reservation_id: ReservationId,
        order_id: OrderId,
        quantity: u32,
    },
    Release {
        reservation_id: ReservationId,
        reason: String,
    },
    Commit {
        reservation_id: ReservationId,
    },
    /// Puts units back that were committed: their order came to nothing after all.
    Return {
        reservation_id: ReservationId,
        quantity: u32,
    },
    /// Time has come for every hold whose `expires_at` is not after now.
    Expire,
}

/// What says no more than it must: whoever asks for more names the fields.
impl Command {
    #[must_use]
    pub const fn receive(quantity: u32) -> Self {
        Self::Receive { quantity, reference: None }
    }

    #[must_use]
    pub const fn adjust(delta: i64, reason: String) -> Self {
        Self::Adjust { delta, reason }
    }

    #[must_use]
    pub const fn reserve(reservation_id: ReservationId, order_id: OrderId, quantity: u32) -> Self {
        Self::Reserve { reservation_id, order_id, quantity }
    }
}

/// The stored format. Nothing is renamed, ever; the golden files are the judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Units came in.
    Received {
        /// How many.
        quantity: u32,
        /// Such as the number of a delivery, as staff typed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    },
    /// Staff counted something else.
    Adjusted {
        /// What is added to the units on hand; mostly it is negative.
        delta: i64,
        /// As staff typed it.
        reason: String,
    },
    /// Units are held for an order.
    Reserved {
        /// This hold.
        reservation_id: ReservationId,
        /// The order that they are for.
        order_id: OrderId,
        /// How many.
        quantity: u32,
        /// When the hold runs out.
        expires_at: Timestamp,
    },
    /// Units that were held are free again.
    Released {
        /// Their hold.
        reservation_id: ReservationId,
        /// How many.
        quantity: u32,
        /// Why, such as `order_rejected`.
        reason: String,
    },
    /// Units that were held are sold.
    Committed {
        /// Their hold.
        reservation_id: ReservationId,
        /// How many.
        quantity: u32,
    },
    /// Units that were sold are back: their order came to nothing after all.
    Returned {
        /// The hold that they were sold from.
        reservation_id: ReservationId,
        /// How many.
        quantity: u32,
    },
    /// The hold ran out before the order was confirmed: its units are free again.
    Expired {
        /// The hold.
        reservation_id: ReservationId,
        /// How many it held.
        quantity: u32,
    },
}

impl Decide for Stock {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match *command {
            Command::Receive { quantity: 0, .. } => Err(Rejection::QuantityZero),
            Command::Receive { quantity, ref reference } => {
                self.check_change(i64::from(quantity))?;
                Ok(vec![Event::Received { quantity, reference: reference.clone() }])
            }
            Command::Adjust { delta: 0, .. } => Ok(vec![]),
            Command::Adjust { delta, ref reason } => {
                self.check_change(delta)?;
                Ok(vec![Event::Adjusted { delta, reason: reason.clone() }])
            }
            Command::Reserve { reservation_id, order_id, quantity } => {
                self.reserve(reservation_id, order_id, quantity, now)
            }
            Command::Release { reservation_id, ref reason } => {
                Ok(self.release(reservation_id, reason))
            }
            Command::Commit { reservation_id } => self.commit(reservation_id),
            Command::Return { reservation_id, quantity } => self.put_back(reservation_id, quantity),
            Command::Expire => Ok(self.expire(now)),
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.holds().values().map(|hold| hold.expires_at).min()
    }

    fn expire() -> Option<Command> {
        Some(Command::Expire)
    }
}

impl Aggregate for Stock {
    const NAME: &'static str = "stock";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "5ba34bd4643560ee";
    const TEXTS: &'static [Texts] = texts! {
        "adjusted": ["reason"] [];
        "committed": [] [];
        "expired": [] [];
        "received": ["reference"] [];
        "released": [] ["reason"];
        "reserved": [] [];
        "returned": [] [];
    };

    type Id = Sku;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::testing::{NOW, uuid};
        let reservation_id = ReservationId::new(uuid(4));
        let order_id = OrderId::new(uuid(2));
        let expires_at = NOW.plus(HOLD);
        vec![
            Event::Received { quantity: 5, reference: Some("delivery 7".into()) },
            Event::Adjusted { delta: -1, reason: "count".into() },
            Event::Reserved { reservation_id, order_id, quantity: 2, expires_at },
            Event::Released { reservation_id, quantity: 2, reason: "order_rejected".into() },
            Event::Committed { reservation_id, quantity: 2 },
            Event::Returned { reservation_id, quantity: 2 },
            Event::Expired { reservation_id, quantity: 2 },
        ]
    }
}

impl Stock {
    /// What is reserved stays covered, and the sum stays within the limit.
    fn check_change(&self, delta: i64) -> Result<(), Rejection> {
        let available = self.available();
        if i64::from(available).saturating_add(delta) < 0 {
            return Err(Rejection::Insufficient { available });
        }
        if i64::from(self.on_hand()).saturating_add(delta) > i64::from(ON_HAND_MAX) {
            return Err(Rejection::LimitReached);
        }
        Ok(())
    }

    fn reserve(
        &self,
        reservation_id: ReservationId,
        order_id: OrderId,
        quantity: u32,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        if let Some(hold) = self.hold(reservation_id) {
            let same = hold.order_id == order_id && hold.quantity == quantity;
            return if same { Ok(vec![]) } else { Err(Rejection::HeldDifferently) };
        }
        match self.ended(reservation_id) {
            Some(End::Committed { .. }) => return Ok(vec![]),
            Some(End::Released | End::Returned) => return Err(Rejection::ReservationGone),
            None => {}
        }
        if quantity == 0 {
            return Err(Rejection::QuantityZero);
        }
        let available = self.available();
        if quantity > available {
            return Err(Rejection::Insufficient { available });
        }
        if self.holds().len() >= HOLDS_MAX {
            return Err(Rejection::HoldsExhausted);
        }
        let expires_at = now.plus(HOLD);
        Ok(vec![Event::Reserved { reservation_id, order_id, quantity, expires_at }])
    }

    fn release(&self, reservation_id: ReservationId, reason: &str) -> Vec<Event> {
        self.hold(reservation_id)
            .map(|hold| Event::Released {
                reservation_id,
                quantity: hold.quantity,
                reason: reason.into(),
            })
            .into_iter()
            .collect()
    }

    /// A hold lasts until its `Expired` is recorded: until then nobody else has its units, and a
    /// buyer who has paid gets them.
    fn commit(&self, reservation_id: ReservationId) -> Result<Vec<Event>, Rejection> {
        match (self.hold(reservation_id), self.ended(reservation_id)) {
            (Some(hold), _) => {
                Ok(vec![Event::Committed { reservation_id, quantity: hold.quantity }])
            }
            (None, Some(End::Committed { .. })) => Ok(vec![]),
            (None, Some(End::Released | End::Returned) | None) => Err(Rejection::ReservationGone),
        }
    }

    /// What a busy stock no longer knows to be committed it believes the process, which has seen it
    /// committed; what was returned it knows itself.
    fn put_back(
        &self,
        reservation_id: ReservationId,
        quantity: u32,
    ) -> Result<Vec<Event>, Rejection> {
        match (self.hold(reservation_id), self.ended(reservation_id)) {
            // Nothing has left the house, or it has come back.
            (Some(_), _) | (None, Some(End::Released | End::Returned)) => return Ok(vec![]),
            (None, Some(End::Committed { quantity: committed })) if committed != quantity => {
                return Err(Rejection::HeldDifferently);
            }
            (None, Some(End::Committed { .. }) | None) => {}
        }
        if quantity == 0 {
            return Err(Rejection::QuantityZero);
        }
        self.check_change(i64::from(quantity))?;
        Ok(vec![Event::Returned { reservation_id, quantity }])
    }

    fn expire(&self, now: Timestamp) -> Vec<Event> {
        self.holds()
            .iter()
            .filter(|(_, hold)| hold.expires_at <= now)
            .map(|(id, hold)| Event::Expired { reservation_id: *id, quantity: hold.quantity })
            .collect()
    }
}

impl Sku {
    /// The stream of what is on hand of it.
    #[must_use]
    pub fn stock_stream(&self) -> StreamId {
        StreamId::of::<Stock>(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("quantity must be at least 1")]
    QuantityZero,
    #[error("only {available} available, the rest is reserved or not there")]
    Insufficient { available: u32 },
    #[error("at most {ON_HAND_MAX} units of a SKU can be on hand")]
    LimitReached,
    #[error("{HOLDS_MAX} orders hold this SKU already: try again when some of them are done")]
    HoldsExhausted,
    #[error("the reservation exists for another order or quantity")]
    HeldDifferently,
    #[error("the reservation ran out, was released or never was")]
    ReservationGone,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, Rule};
        match self {
            Self::QuantityZero => (Rule, "stock.quantity_zero"),
            Self::Insufficient { .. } => (Rule, "stock.insufficient"),
            Self::LimitReached => (Rule, "stock.limit_reached"),
            Self::HoldsExhausted => (Conflict, "stock.holds_exhausted"),
            Self::HeldDifferently => (Conflict, "stock.held_differently"),
            Self::ReservationGone => (Conflict, "stock.reservation_gone"),
        }
    }
}
