//! What clients may ask for in one history: few streams and few command ids, so that retries,
//! collisions and refusals are common.

use std::sync::Arc;

use command_api::engine::Submission;
use domain::{
    addressed::Addressed,
    id::{CommandId, OrderId, ReservationId, Sku, StreamId},
    stock::{self, Stock},
};
use infra::log::RequestHash;
use rand::{Rng, rngs::StdRng};
use uuid::Uuid;

/// One request. Several may bear the same command id by a client's mistake.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) addressed: Addressed,
    pub(super) command_id: CommandId,
    pub(super) request_hash: RequestHash,
    pub(super) expected_revision: Option<u64>,
}

impl Plan {
    pub(super) fn new(
        key: usize,
        variant: usize,
        sku: &Sku,
        command: stock::Command,
        expected_revision: Option<u64>,
    ) -> Self {
        let name = format!("c{key}{}", ["", "'"][variant.min(1)]);
        Self {
            request_hash: RequestHash::of(&[name.as_bytes()]),
            name,
            addressed: Addressed::to::<Stock>(sku, command),
            command_id: CommandId::new(Uuid::from_u128(key as u128 + 1)),
            expected_revision,
        }
    }

    pub(super) fn submission(&self) -> Arc<Submission> {
        let (addressed, actor) = (self.addressed.clone(), Arc::from("simulation"));
        let mut submission = Submission::new(addressed, self.command_id, actor);
        submission.request_hash = self.request_hash;
        submission.precondition = self.expected_revision.into();
        Arc::new(submission)
    }
}

pub(super) fn stream(index: usize) -> StreamId {
    sku(index).stock_stream()
}

#[expect(clippy::expect_used, reason = "they are codes")]
pub(super) fn sku(index: usize) -> Sku {
    ["A", "B", "C"][index % 3].parse().expect("a SKU")
}

/// The plans of a random history. The first ones fill the stocks, so that reservations can hold.
pub(super) fn draw(random: &mut StdRng, streams: usize) -> Vec<Plan> {
    let count = random.random_range(streams + 2..streams + 14);
    let mut plans: Vec<Plan> = (0..streams)
        .map(|index| Plan::new(index, 0, &sku(index), receive(random.random_range(5..16)), None))
        .collect();
    for key in streams..count {
        let sku = sku(random.random_range(0..streams));
        let expected = random.random_bool(0.1).then(|| random.random_range(0..4));
        plans.push(Plan::new(key, 0, &sku, draw_command(random), expected));
        if random.random_bool(0.05) {
            plans.push(Plan::new(key, 1, &sku, receive(1), None));
        }
    }
    plans
}

fn draw_command(random: &mut StdRng) -> stock::Command {
    let reservation = random.random_range(0..6);
    match random.random_range(0..12) {
        0..=5 => reserve(reservation, random.random_range(1..4)),
        6 => stock::Command::Release {
            reservation_id: reservation_id(reservation),
            reason: "changed".to_owned(),
        },
        7 => stock::Command::Commit { reservation_id: reservation_id(reservation) },
        8 => receive(random.random_range(1..4)),
        9 => adjust(0),
        _ => adjust(-random.random_range(1..6)),
    }
}

pub(super) fn receive(quantity: u32) -> stock::Command {
    stock::Command::receive(quantity)
}

pub(super) fn adjust(delta: i64) -> stock::Command {
    stock::Command::adjust(delta, "count".to_owned())
}

pub(super) fn reserve(reservation: u128, quantity: u32) -> stock::Command {
    let order_id = OrderId::new(Uuid::from_u128(reservation));
    stock::Command::reserve(reservation_id(reservation), order_id, quantity)
}

fn reservation_id(number: u128) -> ReservationId {
    ReservationId::new(Uuid::from_u128(number))
}
