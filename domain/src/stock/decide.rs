//! The rules of a stock: nothing is sold that is not there, and nothing is promised twice.

use std::time::Duration;

use crate::{
    aggregate::Decide,
    id::{OrderId, ReservationId},
    stock::{Command, End, Event, HOLDS_MAX, ON_HAND_MAX, Rejection, Stock},
    timestamp::Timestamp,
};

/// How long units are held for an order that is not paid yet.
pub const HOLD: Duration = Duration::from_secs(15 * 60);

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
