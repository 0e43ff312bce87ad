//! A whole command side over a log in memory: routes, engine and process managers.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use domain::{
    Event, Listed, StreamType,
    envelope::{Recorded, Revision},
    id::{CommandId, EventId, OrderId, StreamId},
    order::{Order, Status},
    shard::ShardId,
    stock::Stock,
    testing::NOW,
};
use futures_util::future::join_all;
use infra::{
    auth::KeyHash,
    clock::{Clock, ManualClock},
    codec, config,
    http::{edge::Limits, health::Readiness, testing},
    log::{
        CommitBody, EventLog, EventRecord, Offset, contract, memory::MemoryLog, progress::Progress,
        sample,
    },
    task::{self, Task},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::{
    engine::{Consistency, Engine, ShardStatus, Stores, testing::Running},
    http::{self, AppState, EngineSlot, Ingredients},
    payment::{Desk, PaymentProvider, Sandbox, WebhookSecret},
    process::Managers,
};

pub(crate) use infra::http::testing::Answer;

pub(crate) const OPERATOR: &str = "the key of an operator";
pub(crate) const SECRET: &str = "a secret that only these tests have";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Clock,
    pub(crate) stores: Stores,
    router: Router,
    ops: Router,
    _running: Running,
    _followers: Vec<Task<()>>,
}

/// What a world is made of; the sandbox, where no provider is named.
struct Parts {
    log: Arc<dyn EventLog>,
    clock: Clock,
    provider: Option<Arc<dyn PaymentProvider>>,
    limits: Limits,
    stores: Stores,
    open_checkouts_max: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            log: Arc::new(MemoryLog::new(4)),
            clock: Clock::System,
            provider: None,
            limits: Limits::default(),
            stores: Stores::in_memory(),
            open_checkouts_max: 2_000,
        }
    }
}

impl World {
    pub(crate) fn start() -> Self {
        Self::of(Parts::default())
    }

    /// Where all is written that a start writes: each shard's claim, and the barriers of the first reads
    /// of the processes. Whoever counts records begins here.
    pub(crate) async fn begun() -> Self {
        let world = Self::start();
        eventually("every shard is served and followed", || async {
            let shards = world.engine.status();
            let is_served = shards.iter().all(ShardStatus::serves);
            // Each shard's process has read its stream, which lies in any shard.
            let streams: usize = shards.iter().map(|shard| shard.streams).sum();
            (is_served && streams == shards.len()).then_some(())
        })
        .await;
        world
    }

    /// So many each shard's log has.
    pub(crate) async fn records(&self) -> Vec<Offset> {
        let shards = (0..self.log.shard_count()).map(ShardId::new);
        let ranges = join_all(shards.map(|shard| self.log.range(shard))).await;
        ranges.into_iter().map(|range| range.unwrap().end).collect()
    }

    pub(crate) fn over(log: Arc<dyn EventLog>, clock: Clock) -> Self {
        Self::of(Parts { log, clock, ..Parts::default() })
    }

    pub(crate) fn with_provider(
        log: Arc<dyn EventLog>,
        clock: Clock,
        provider: Arc<dyn PaymentProvider>,
    ) -> Self {
        Self::of(Parts { log, clock, provider: Some(provider), ..Parts::default() })
    }

    /// A node that takes on less than usual.
    pub(crate) fn limited(log: Arc<dyn EventLog>, limits: Limits) -> Self {
        Self::of(Parts { log, limits, ..Parts::default() })
    }

    /// A node that has been here before.
    pub(crate) fn with_stores(log: Arc<dyn EventLog>, stores: Stores) -> Self {
        Self::of(Parts { log, stores, ..Parts::default() })
    }

    /// A node that lets guests have fewer checkouts open than usual.
    pub(crate) fn with_open_checkouts(open_checkouts_max: usize) -> Self {
        Self::of(Parts { open_checkouts_max, ..Parts::default() })
    }

    fn of(parts: Parts) -> Self {
        let Parts { log, clock, provider, limits, stores, open_checkouts_max } = parts;
        let provider = provider.unwrap_or_else(|| Arc::new(Sandbox::new(clock.clone())));
        let slot = EngineSlot::default();
        let desk = Desk::new(provider, 1_024);
        let state = AppState::new(Ingredients {
            engine: slot.clone(),
            clock: clock.clone(),
            auth: config::Auth {
                operator_key_sha256: Some(KeyHash::of(OPERATOR)),
                cart_token_secret: SECRET.into(),
            },
            desk: desk.clone(),
            webhook_secret: Some(WebhookSecret::parse(WEBHOOK_SECRET).unwrap()),
            gate: None,
            open_checkouts_max,
        });
        let running = Running::alone(&log, &clock, &stores);
        let engine = running.engine.clone();
        slot.fill(engine.admitting(limits.requests_max));
        let managers = Managers {
            engine: engine.clone(),
            log: Arc::clone(&log),
            progress: Progress::in_memory(),
            desk,
            clock: clock.clone(),
        };
        let followers = managers.followers().into_iter().map(|follow| {
            let run = follow.run(running.shutdown.clone());
            task::spawn("follow", async { run.await.unwrap() })
        });
        let followers = followers.collect();
        let app = http::app(&state, Readiness::new(), limits);
        let (router, ops) = (app.router(), app.ops());
        Self { engine, log, clock, stores, router, ops, _running: running, _followers: followers }
    }

    pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json")
    }

    pub(crate) async fn respond(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        testing::send(&self.router, request).await
    }

    /// On the listener for operations.
    pub(crate) async fn send_to_ops(&self, request: Request<Body>) -> Answer {
        testing::send(&self.ops, request).await
    }

    /// A request with headers of its own.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Display,
    ) -> Answer {
        let request = Self::request(method, path);
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// As a guest.
    pub(crate) async fn guest(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask(method, path, &[], body).await
    }

    /// With the operator's key, which has all roles.
    pub(crate) async fn staff(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask(method, path, &[("authorization", &*bearer(OPERATOR))], body).await
    }

    /// [`World::staff`] with an Idempotency-Key.
    pub(crate) async fn keyed(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let headers = [("authorization", &*bearer(OPERATOR)), ("idempotency-key", key)];
        self.ask(method, path, &headers, body).await
    }

    /// A command with the operator's key and further headers.
    pub(crate) async fn staff_with(
        &self,
        headers: &[(&str, &str)],
        path: &str,
        body: impl Display,
    ) -> Answer {
        let bearer = bearer(OPERATOR);
        let headers: Vec<_> =
            headers.iter().copied().chain([("authorization", &*bearer)]).collect();
        self.ask("POST", path, &headers, body).await
    }

    /// Many commands in one request.
    pub(crate) fn batch(key: &str, body: impl Into<Body>) -> Request<Body> {
        let request = Request::post("/v1/batch").header("authorization", bearer(key));
        request.header(header::CONTENT_TYPE, "application/x-ndjson").body(body.into()).unwrap()
    }

    /// A published product at 250 USD cents with `on_hand` units; its id.
    pub(crate) async fn product(&self, sku: &str, on_hand: u32) -> String {
        let body = json!({"sku": sku, "name": "Tea", "price": {"amount": 250, "currency": "USD"}});
        let created = self.staff("POST", "/v1/products", body).await.expect(201);
        let id = created.body["id"].as_str().unwrap().to_owned();
        self.staff("POST", &format!("/v1/products/{id}/publish"), json!({})).await.expect(200);
        if on_hand > 0 {
            let path = format!("/v1/stock/{sku}/receive");
            self.staff("POST", &path, json!({"quantity": on_hand})).await.expect(200);
        }
        id
    }

    /// A guest buys one line on the web; the order's id.
    pub(crate) async fn buy(&self, sku: &str, quantity: u32, method_token: &str) -> OrderId {
        let checked_out = self.try_to_buy(sku, quantity, method_token).await.expect(202);
        checked_out.body["order_id"].as_str().unwrap().parse().unwrap()
    }

    /// The answer to a guest's checkout of one line.
    pub(crate) async fn try_to_buy(&self, sku: &str, quantity: u32, method_token: &str) -> Answer {
        let body = json!({"currency": "USD", "lines": [{"sku": sku, "quantity": quantity}]});
        let cart = self.guest("POST", "/v1/carts", body).await.expect(201);
        let token = cart.body["cart_token"].as_str().unwrap();
        let path = format!("/v1/carts/{}/checkout", cart.body["id"].as_str().unwrap());
        self.ask("POST", &path, &[("tradewind-cart-token", token)], checkout(method_token)).await
    }

    pub(crate) async fn read<A: Listed>(&self, id: &A::Id) -> Arc<A> {
        self.engine.read(id, Consistency::Linearizable).await.unwrap().state
    }

    pub(crate) async fn stock(&self, sku: &str) -> Arc<Stock> {
        self.read(&sku.parse().unwrap()).await
    }

    /// The order, once it is no longer pending.
    pub(crate) async fn settled(&self, id: OrderId) -> Arc<Order> {
        eventually(&format!("order {id} settled"), || async {
            let order = self.read::<Order>(&id).await;
            (order.status != Status::Pending).then_some(order)
        })
        .await
    }
}

const TICK: Duration = Duration::from_millis(10);

/// The engine's time, which goes on together with the one that is paused for the test.
pub(crate) fn moving_clock() -> (ManualClock, Task<()>) {
    let manual = ManualClock::at("2026-01-31T12:00:00Z".parse().unwrap());
    let clock = manual.clone();
    let moving = task::spawn("clock", async move {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            clock.advance(TICK);
        }
    });
    (manual, moving)
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), asking).await.expect(what)
}

pub(crate) fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

pub(crate) fn checkout(method_token: &str) -> Value {
    json!({
        "email": "ada@example.org",
        "shipping_address": {
            "name": "Ada", "line1": "Main Street 1", "city": "Springfield",
            "postal_code": "12345", "country": "US",
        },
        "payment": {"method_token": method_token},
    })
}

pub(crate) fn new_uuid() -> String {
    Uuid::now_v7().to_string()
}

/// The id of each event that is [`recorded`].
pub(crate) const EVENT: EventId = EventId::new(Uuid::from_u128(9));

/// An event with no more behind it, as it comes from the log.
pub(crate) fn recorded(stream: StreamId, revision: Revision, event: Event) -> Recorded {
    let provenance = sample::event(sample::PLACE, 9).provenance;
    Recorded { id: EVENT, stream, revision, recorded_at: NOW, provenance, event }
}

/// The records of all commits that changed a stream, as an independent reader sees them.
pub(crate) async fn commits(log: &dyn EventLog) -> Vec<Vec<EventRecord>> {
    let mut found = Vec::new();
    for shard in (0..log.shard_count()).map(ShardId::new) {
        let commits = contract::commits(log, shard, None).await;
        found.extend(commits.into_iter().filter_map(|(commit, _)| match commit.body {
            CommitBody::Events(events) => Some(events),
            CommitBody::Barrier(_) => None,
        }));
    }
    found
}

/// The command id of every commit that changed a stream, and which kind of stream.
pub(crate) async fn commands_of_commits(log: &dyn EventLog) -> Vec<(CommandId, StreamType)> {
    let commits = commits(log).await;
    let firsts = commits.iter().filter_map(|records| records.first());
    let of = |first: &EventRecord| Some((first.provenance.command_id, first.stream.stream_type()?));
    firsts.filter_map(of).collect()
}

/// All events that this release can read.
pub(crate) async fn events(log: &dyn EventLog) -> Vec<Event> {
    let commits = commits(log).await;
    commits.iter().flatten().filter_map(|record| codec::decode(record).ok()).collect()
}
