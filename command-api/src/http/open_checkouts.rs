//! How many checkouts a guest may have open: each holds stock and a payment until its order is
//! confirmed or rejected.
//!
//! Counted by address, on this node, for as long as stock is held. There is no message when an
//! order is settled; at the limit the oldest ones are looked up, so that guests who settle their orders
//! never meet it.

use std::{
    collections::{HashSet, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use domain::{
    id::OrderId,
    order::{Order, Status},
    stock,
};
use infra::{auth::Caller, http::problem::Problem, telemetry::emit};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::{
    engine::{Consistency, Engine},
    metrics::CheckoutsCapped,
};

/// Orders that are looked at for a client at its limit.
const LOOKS_MAX: usize = 64;
/// How long a client is refused without another look after one that found nothing settled.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Clients that are counted. While there are as many, new ones are let in uncounted.
const CLIENTS_MAX: usize = 100_000;
/// When a client that was refused had better come again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Cheap to clone; clones count together.
#[derive(Clone)]
pub(super) struct OpenCheckouts {
    /// Per client; one more is refused.
    max: usize,
    clients: Arc<Mutex<FxHashMap<Client, Book>>>,
}

/// Guests behind one address; of IPv6 a customer has a /64. `None`: the address is not known.
type Client = Option<IpAddr>;

#[derive(Default)]
struct Book {
    /// Oldest first.
    open: VecDeque<(OrderId, Instant)>,
    /// When a look found nothing settled.
    looked_in_vain: Option<Instant>,
}

impl OpenCheckouts {
    pub(super) fn new(max: usize) -> Self {
        Self { max, clients: Arc::default() }
    }

    /// Lets the caller check out once more. Whoever has a key is not counted.
    ///
    /// # Errors
    /// It has as many checkouts open as it may.
    pub(super) async fn admit(&self, engine: &Engine, caller: &Caller) -> Result<(), Problem> {
        let Some(client) = client(caller) else { return Ok(()) };
        let oldest = match self.oldest(client, Instant::now()) {
            Room::Some => return Ok(()),
            Room::None => return Err(refusal()),
            Room::Perhaps(oldest) => oldest,
        };
        let settled = settled(engine, &oldest).await;
        if let Some(book) = self.lock().get_mut(&client) {
            book.open.retain(|(order_id, _)| !settled.contains(order_id));
            book.looked_in_vain = settled.is_empty().then(Instant::now);
        }
        if settled.is_empty() { Err(refusal()) } else { Ok(()) }
    }

    /// Counts what [`OpenCheckouts::admit`] has let in.
    pub(super) fn note(&self, caller: &Caller, order_id: OrderId) {
        let Some(client) = client(caller) else { return };
        let until = Instant::now() + stock::HOLD;
        let mut clients = self.lock();
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            clients.retain(|_, book| book.open.back().is_some_and(|(_, at)| *at > Instant::now()));
            if clients.len() >= CLIENTS_MAX {
                return;
            }
        }
        let open = &mut clients.entry(client).or_default().open;
        // One whose outcome was not known may come again.
        open.retain(|(noted, _)| *noted != order_id);
        open.push_back((order_id, until));
    }

    fn oldest(&self, client: Client, now: Instant) -> Room {
        let mut clients = self.lock();
        let Some(book) = clients.get_mut(&client) else { return Room::Some };
        while book.open.pop_front_if(|(_, until)| *until <= now).is_some() {}
        if book.open.len() < self.max {
            return Room::Some;
        }
        if book.looked_in_vain.is_some_and(|at| now < at + LOOK_AGAIN_AFTER) {
            return Room::None;
        }
        Room::Perhaps(book.open.iter().take(LOOKS_MAX).map(|(order_id, _)| *order_id).collect())
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Client, Book>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one more may be open.
enum Room {
    Some,
    None,
    /// If some of these are settled by now.
    Perhaps(Vec<OrderId>),
}

/// What cannot be read counts as open: where orders are not to be had, none is placed either.
async fn settled(engine: &Engine, orders: &[OrderId]) -> HashSet<OrderId> {
    let streams = orders.iter().map(|id| id.stream()).collect();
    let Ok(found) = engine.read_many(&streams, Consistency::Serializable).await else {
        return HashSet::new();
    };
    let is_settled = |order: &Order| order.placed.is_some() && order.status != Status::Pending;
    let is_settled = |id: &OrderId| found.get(id).is_ok_and(|found| is_settled(&found.state));
    orders.iter().copied().filter(is_settled).collect()
}

fn client(caller: &Caller) -> Option<Client> {
    match caller {
        Caller::Key { .. } => None,
        Caller::Anonymous { address, .. } => Some(address.map(|address| match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => v4.into(),
                None => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
            },
        })),
    }
}

fn refusal() -> Problem {
    emit(CheckoutsCapped);
    Problem::rejected(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_open_checkouts",
        "too many orders from your address are neither paid nor rejected yet; wait for some of them",
    )
    .retry_after(RETRY_AFTER)
}
