//! What happens when more is asked than can be done, or when a part of the log does not answer.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{id::Sku, shard::ShardId};
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    config::Rates,
    http::edge::Limits,
    log::{EventLog, LogReader, Offset, OpenError, Opened, Prefetch, ReadError, memory::MemoryLog},
    task::{self, Task},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::cart_of;
use crate::testing::{OPERATOR, World};

const SHARDS: u32 = 4;
pub(super) const LIMITS: Limits = Limits {
    request_wait_max: Duration::from_secs(10),
    requests_max: 16,
    rates: Rates::NONE,
    weights: &[],
};
/// Of a shard, of the 16 requests that may be under way.
pub(super) const SHARE: usize = 4;
/// Long for an answer that waits for nothing.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// Appends are done; what became of them is told when a shard's gate is open.
pub(super) struct Gated {
    log: MemoryLog,
    gates: Vec<watch::Sender<bool>>,
    telling: std::sync::Mutex<Vec<Task<()>>>,
}

impl Gated {
    pub(super) fn new() -> Arc<Self> {
        let gates = (0..SHARDS).map(|_| watch::Sender::new(true)).collect();
        Arc::new(Self { log: MemoryLog::new(SHARDS), gates, telling: Default::default() })
    }

    pub(super) fn gate(&self, shard: ShardId) -> &watch::Sender<bool> {
        &self.gates[usize::try_from(shard.index()).unwrap()]
    }
}

#[async_trait]
impl EventLog for Gated {
    fn shard_count(&self) -> u32 {
        SHARDS
    }

    async fn open_writer(&self, shard: ShardId) -> Result<Opened, OpenError> {
        let (writer, mut done) = self.log.open_writer(shard).await?;
        let (tell, told) = mpsc::channel(16_384);
        let mut gate = self.gate(shard).subscribe();
        let telling = task::spawn("gate", async move {
            while let Some(report) = done.recv().await {
                let open = gate.wait_for(|open| *open).await.is_ok();
                if !open || tell.send(report).await.is_err() {
                    return;
                }
            }
        });
        self.telling.lock().unwrap().push(telling);
        Ok((writer, told))
    }

    async fn open_reader(
        &self,
        shard: ShardId,
        from: Offset,
        prefetch: Prefetch,
    ) -> Result<Box<dyn LogReader>, ReadError> {
        self.log.open_reader(shard, from, prefetch).await
    }

    async fn range(&self, shard: ShardId) -> Result<Range<Offset>, ReadError> {
        self.log.range(shard).await
    }
}

/// SKUs whose stocks lie in this shard.
pub(super) fn skus(world: &World, shard: ShardId) -> impl Iterator<Item = String> {
    let of = move |sku: &String| sku.parse::<Sku>().unwrap().stock_stream();
    let engine = world.engine.clone();
    (0..).map(|number| format!("S{number}")).filter(move |sku| engine.shard_of(&of(sku)) == shard)
}

#[tokio::test]
async fn a_shard_that_does_not_answer_stops_no_other() {
    let log = Gated::new();
    let world = World::limited(log.clone(), LIMITS);
    let (slow, others) = (ShardId::new(0), (1..SHARDS).map(ShardId::new));
    for shard in (0..SHARDS).map(ShardId::new) {
        world.receive(&skus(&world, shard).next().unwrap()).await.expect(200);
    }
    log.gate(slow).send_replace(false);
    let wanted: Vec<String> = skus(&world, slow).take(LIMITS.requests_max).collect();
    let mut waiting: FuturesUnordered<_> = wanted.iter().map(|sku| world.receive(sku)).collect();
    for _ in SHARE..LIMITS.requests_max {
        let refused = timeout(SOON, waiting.next()).await.expect("a quick no").unwrap();
        assert_eq!(refused.header("retry-after"), "1");
        refused.expect_problem(503, "busy");
    }
    for shard in others {
        for sku in skus(&world, shard).take(20) {
            timeout(SOON, world.receive(&sku)).await.expect("a quick yes").expect(200);
        }
    }
    log.gate(slow).send_replace(true);
    assert_eq!(waiting.len(), SHARE);
    while let Some(answer) = timeout(SOON, waiting.next()).await.expect("an answer") {
        answer.expect(200);
    }
    world.receive(&wanted[0]).await.expect(200);
}

/// SKUs whose own streams lie in this shard.
pub(super) fn codes(world: &World, shard: ShardId) -> impl Iterator<Item = String> {
    let engine = world.engine.clone();
    let of = |code: &String| code.parse::<Sku>().unwrap().stream();
    (0..).map(|n| format!("C{n}")).filter(move |code| engine.shard_of(&of(code)) == shard)
}

#[tokio::test]
async fn a_request_weighs_as_much_as_the_streams_that_it_asks_for() {
    let slow = ShardId::new(0);
    for (repeated, admitted) in [(false, 1), (true, SHARE)] {
        let log = Gated::new();
        let world = World::limited(log.clone(), LIMITS);
        world.receive(&skus(&world, slow).next().unwrap()).await.expect(200);
        log.gate(slow).send_replace(false);
        let of = codes(&world, slow).take(500).collect::<Vec<_>>();
        let lines = || (0..500).map(|n| of[if repeated { 0 } else { n }].clone());
        let ask = || world.staff("POST", "/v1/carts", cart_of(lines()));
        let mut waiting: FuturesUnordered<_> = (0..=SHARE).map(|_| ask()).collect();
        for _ in admitted..=SHARE {
            let refused = timeout(SOON, waiting.next()).await.expect("a quick no").unwrap();
            refused.expect_problem(503, "busy");
        }
        assert!(timeout(Duration::from_millis(50), waiting.next()).await.is_err());
    }
}

const BATCH_LIMITS: Limits = Limits { requests_max: 64, ..LIMITS };

fn line(number: usize, path: &str, body: &Value) -> String {
    let key = number.to_string();
    json!({"idempotency_key": key, "method": "POST", "path": path, "body": body}).to_string() + "\n"
}

/// Receives units of one SKU after another.
fn receipts(skus: impl Iterator<Item = String>) -> String {
    let path = |sku| format!("/v1/stock/{sku}/receive");
    skus.enumerate().map(|(n, sku)| line(n, &path(sku), &json!({"quantity": 1}))).collect()
}

/// The statuses of a batch's lines.
async fn send(key: &str, world: &World, body: String) -> Vec<u64> {
    let seen = world.send(World::batch(key, body)).await;
    let answers = seen.raw.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    answers.map(|answer| answer["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn lines_of_a_batch_wait_for_room_and_leave_some_to_others() {
    let log = Gated::new();
    let world = World::limited(log.clone(), BATCH_LIMITS);
    let crowded = ShardId::new(0);
    let wanted: Vec<String> = skus(&world, crowded).take(60).collect();
    world.receive(&wanted[0]).await.expect(200);
    log.gate(crowded).send_replace(false);
    let batch = send(OPERATOR, &world, receipts(wanted.iter().cloned()));
    let mut batch = std::pin::pin!(batch);
    assert!(timeout(Duration::from_millis(50), &mut batch).await.is_err(), "it waits");
    let mut alone = std::pin::pin!(world.receive(&wanted[0]));
    assert!(timeout(Duration::from_millis(50), &mut alone).await.is_err(), "it is let in");
    log.gate(crowded).send_replace(true);
    let (statuses, alone) = tokio::join!(batch, alone);
    alone.expect(200);
    assert_eq!(statuses, [200; 60]);
}

#[tokio::test]
async fn lines_of_a_batch_wait_for_room_to_have_their_key_looked_at() {
    let world = World::limited(Gated::new(), BATCH_LIMITS);
    let issued = world.issue_key().await;
    let receipts = receipts(skus(&world, ShardId::new(0)).take(60));
    assert_eq!(send(issued.text("/key"), &world, receipts).await, [200; 60]);
}

#[tokio::test]
async fn lines_that_wait_for_a_slow_shard_hold_nothing_of_the_others() {
    let log = Gated::new();
    let world = World::limited(log.clone(), BATCH_LIMITS);
    let (slow, other) = (ShardId::new(3), ShardId::new(0));
    for shard in [slow, other] {
        world.receive(&skus(&world, shard).next().unwrap()).await.expect(200);
    }
    log.gate(slow).send_replace(false);
    let of = |shard| codes(&world, shard).next().unwrap();
    let cart = cart_of([slow, other].map(of));
    let body = (0..60).map(|n| line(n, "/v1/carts", &cart)).collect();
    let mut batch = std::pin::pin!(send(OPERATOR, &world, body));
    assert!(timeout(Duration::from_millis(50), &mut batch).await.is_err(), "it waits");
    let served = async {
        for sku in skus(&world, other).take(20) {
            timeout(SOON, world.receive(&sku)).await.expect("a quick yes").expect(200);
        }
    };
    tokio::select! {
        () = served => {}
        _ = &mut batch => panic!("it waits"),
    }
}

#[tokio::test]
async fn a_list_that_is_too_long_is_refused_before_anything_is_looked_up() {
    let log = Gated::new();
    let world = World::limited(log.clone(), LIMITS);
    for shard in (0..SHARDS).map(ShardId::new) {
        world.receive(&skus(&world, shard).next().unwrap()).await.expect(200);
        log.gate(shard).send_replace(false);
    }
    let body = cart_of((0..501).map(|n| format!("C{n}")));
    let seen = timeout(SOON, world.guest("POST", "/v1/carts", body)).await.expect("a quick no");
    let seen = seen.expect_invalid("/lines");
    assert_eq!(seen.body["errors"][0]["code"], "too_many");
}

#[tokio::test]
async fn whoever_hangs_up_makes_room() {
    let log = Gated::new();
    let world = World::limited(log.clone(), LIMITS);
    let sku = skus(&world, ShardId::new(0)).next().unwrap();
    world.receive(&sku).await.expect(200);
    log.gate(ShardId::new(0)).send_replace(false);
    for _ in 0..3 {
        let mut waiting: FuturesUnordered<_> = (0..SHARE).map(|_| world.receive(&sku)).collect();
        assert!(timeout(Duration::from_millis(20), waiting.next()).await.is_err());
    }
    log.gate(ShardId::new(0)).send_replace(true);
    world.receive(&sku).await.expect(200);
}

#[tokio::test]
async fn ten_times_as_many_requests_as_may_be_under_way_get_quick_answers() {
    let world = World::limited(Gated::new(), LIMITS);
    world.receive("S1").await.expect(200);
    let skus: Vec<String> = (0..LIMITS.requests_max * 10).map(|n| format!("S{n}")).collect();
    let mut sent: FuturesUnordered<_> = skus.iter().map(|sku| world.receive(sku)).collect();
    let (mut accepted, mut refused) = (0, 0);
    while let Some(answer) = timeout(SOON, sent.next()).await.expect("an answer") {
        match answer.status {
            200 => accepted += 1,
            503 => {
                assert_eq!(answer.header("retry-after"), "1");
                refused += 1;
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!(accepted >= SHARE && refused > 0, "{accepted} accepted, {refused} refused");
}
