//! What is on hand, who holds how much of it, and how reservations ended.
//!
//! **Invariant:** `reserved` is the sum of all holds and never exceeds `on_hand`.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    id::{OrderId, ReservationId},
    stock::Event,
    timestamp::Timestamp,
};

/// How many ended reservations a stock remembers; the oldest is forgotten first. Within this
/// memory, a reservation that ended is never taken again. What is older is left to the engine,
/// which answers a redelivered command id for 24 h from its own memory, and to processes, which know
/// of a parked event what they have done.
const ENDED_MAX: usize = 32;

/// How many returned reservations a stock remembers, beside those: units that were returned once are
/// not returned again, however late somebody asks. It takes a paid order that cannot be had, so a
/// stock that forgets one has seen as many of them since.
pub(super) const RETURNED_MAX: usize = 10_000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    on_hand: u32,
    reserved: u32,
    holds: BTreeMap<ReservationId, Hold>,
    ended: VecDeque<(ReservationId, End)>,
    /// The oldest first.
    returned: VecDeque<ReservationId>,
}

/// Units that are kept for an order until `expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub order_id: OrderId,
    pub quantity: u32,
    pub expires_at: Timestamp,
}

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Its units left the house.
    Committed { quantity: u32 },
    /// Its units stayed, by release or because time ran out.
    Released,
    /// Its units left the house and came back.
    Returned,
}

impl Stock {
    #[must_use]
    pub fn on_hand(&self) -> u32 {
        self.on_hand
    }

    #[must_use]
    pub fn reserved(&self) -> u32 {
        self.reserved
    }

    /// What can still be reserved.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.on_hand.saturating_sub(self.reserved)
    }

    #[must_use]
    pub fn hold(&self, reservation_id: ReservationId) -> Option<&Hold> {
        self.holds.get(&reservation_id)
    }

    #[must_use]
    pub fn holds(&self) -> &BTreeMap<ReservationId, Hold> {
        &self.holds
    }

    /// How a reservation ended, if that is remembered.
    #[must_use]
    pub fn ended(&self, reservation_id: ReservationId) -> Option<End> {
        if self.returned.contains(&reservation_id) {
            return Some(End::Returned);
        }
        self.ended.iter().find(|(id, _)| *id == reservation_id).map(|(_, end)| *end)
    }

    fn end(&mut self, reservation_id: ReservationId, quantity: u32, end: End) {
        self.reserved = self.reserved.saturating_sub(quantity);
        self.holds.remove(&reservation_id);
        remember(&mut self.ended, (reservation_id, end), ENDED_MAX);
    }
}

fn remember<T>(memory: &mut VecDeque<T>, item: T, max: usize) {
    if memory.len() >= max {
        memory.pop_front();
    }
    memory.push_back(item);
}

impl Evolve for Stock {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match *event {
            Event::Received { quantity, .. } => {
                self.on_hand = self.on_hand.saturating_add(quantity);
            }
            Event::Adjusted { delta, .. } => {
                let on_hand = i64::from(self.on_hand).saturating_add(delta).max(0);
                self.on_hand = u32::try_from(on_hand).unwrap_or(u32::MAX);
            }
            Event::Reserved { reservation_id, order_id, quantity, expires_at } => {
                self.reserved = self.reserved.saturating_add(quantity);
                self.holds.insert(reservation_id, Hold { order_id, quantity, expires_at });
            }
            Event::Committed { reservation_id, quantity } => {
                self.on_hand = self.on_hand.saturating_sub(quantity);
                self.end(reservation_id, quantity, End::Committed { quantity });
            }
            Event::Released { reservation_id, quantity, .. }
            | Event::Expired { reservation_id, quantity } => {
                self.end(reservation_id, quantity, End::Released);
            }
            Event::Returned { reservation_id, quantity } => {
                self.on_hand = self.on_hand.saturating_add(quantity);
                self.ended.retain(|(id, _)| *id != reservation_id);
                remember(&mut self.returned, reservation_id, RETURNED_MAX);
            }
        }
    }
}
