//! A log that is copied to another number of shards holds the same, and what is made of it is the same.
#![expect(clippy::expect_used, reason = "a test that cannot go on says what it lacked")]

use std::collections::BTreeMap;
use std::time::Duration;

use command_api::{ReshardSettings, reshard};
use domain::shard::{ShardId, shard_of};
use infra::config::{self, Layers};
use infra::log::kafka::KafkaLog;
use infra::log::{CommitBody, EventLog, EventRecord, contract, sample};
use infra::task;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use stack::eventually::eventually;
use tests::audit::audit;
use tests::harness::Stack;
use tests::harness::client::{Answer, send};

use crate::shop::{Cart, log_of, product, settled_order, stock_becomes};

const APPLIED_WAIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_goes_on_after_its_log_has_another_number_of_shards() {
    let stack = Stack::start().await;
    let written = business(&stack).await;
    let refused = refuse(&stack).await;
    assert_eq!(refused.header("Idempotency-Replayed"), "");
    let log = log_of(&stack).await;
    applied(&stack, &log).await;
    let (expected_rows, expected_streams) = (rows(&stack).await, streams(&log).await);
    let filled = expected_rows.values().filter(|rows| !rows.is_empty()).count();
    assert!(filled >= 7, "{expected_rows:?}");
    let (servers, topic) = (stack.bootstrap_servers(), stack.topic().to_owned());
    stack.finish().await;

    for shards in [1, 3] {
        let to = format!("{topic}.{shards}");
        reshard_twice(&servers, &topic, &to, shards).await;
        let copy = KafkaLog::connect(&config::Kafka::plaintext(&*servers, &*to), &to).await;
        let copy = copy.expect("the copy");
        assert_eq!(copy.shard_count(), shards);
        assert_eq!(streams(&copy).await, expected_streams);

        let stack = Stack::start_over(&to).await;
        applied(&stack, &copy).await;
        assert_eq!(rows(&stack).await, expected_rows);
        let again = refuse(&stack).await;
        assert_eq!(again.header("Idempotency-Replayed"), "true");
        assert_eq!(again.body["code"], refused.body["code"]);
        for answer in &written {
            let read = stack.staff().get_after("/v1/stock/tea", answer).await;
            assert_eq!(read.status, 400, "an old position: {}", read.body);
        }
        let lines = json!([{"sku": "tea", "quantity": 1}]);
        let cart = Cart::create(stack.anon(), &lines).await;
        let checkout = cart.check_out("tok_ok").await.expect(202);
        assert_eq!(settled_order(&stack, &checkout).await["status"], "confirmed");
        stock_becomes(&stack, "tea", 6, 0).await;
        let audit = audit(&servers, &to).await.expect("an audit");
        // An outcome is copied to all shards in which it may be asked for.
        let is_of_copies = |what: &&String| shards > 1 && what.contains("was decided");
        let violations: Vec<_> = audit.violations.iter().filter(|it| !is_of_copies(it)).collect();
        assert!(violations.is_empty(), "{violations:?}");
        stack.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_node_writes_nothing_is_finished() {
    let stack = Stack::start().await;
    let _tea = product(&stack, "tea", 450, 10).await;
    let (servers, topic) = (stack.bootstrap_servers(), stack.topic().to_owned());
    let to = format!("{topic}.2");
    let error = resharded(&servers, &topic, &topic, 2).await.expect_err("its own topic");
    assert!(error.contains("name another one"), "{error}");
    let staff = stack.staff();
    let writing = task::spawn("writing", async move {
        loop {
            let body = json!({"quantity": 1});
            let _received = staff.post("/v1/stock/tea/receive", &body).await.expect(200);
        }
    });
    let error = resharded(&servers, &topic, &to, 2).await.expect_err("somebody writes");
    assert!(error.contains("stop all nodes"), "{error}");
    drop(writing);
    stack.finish().await;
}

/// Orders of all kinds. The answers of some commands.
async fn business(stack: &Stack) -> Vec<Answer> {
    let mut answers = Vec::new();
    for sku in ["tea", "milk", "rusk"] {
        answers.push(product(stack, sku, 450, 10).await);
    }
    for (sku, quantity, method_token, status) in [
        ("tea", 3, "tok_ok", "confirmed"),
        ("milk", 2, "tok_declined", "rejected"),
        ("rusk", 99, "tok_ok", "rejected"),
        ("milk", 4, "tok_ok", "confirmed"),
    ] {
        let lines = json!([{"sku": sku, "quantity": quantity}]);
        let cart = Cart::create(stack.anon(), &lines).await;
        let checkout = cart.check_out(method_token).await.expect(202);
        assert_eq!(settled_order(stack, &checkout).await["status"], status);
        answers.push(checkout);
    }
    answers
}

/// A command that no stock allows, under one key.
async fn refuse(stack: &Stack) -> Answer {
    let body = json!({"delta": -1_000, "reason": "broken"});
    let answer = stack.operator().post_as("too-many", "/v1/stock/tea/adjust", &body).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    answer
}

/// A run that is cut off in the middle, and one that goes on.
async fn reshard_twice(servers: &str, topic: &str, to: &str, shards: u32) {
    let cut_off = {
        let (servers, topic, to) = (servers.to_owned(), topic.to_owned(), to.to_owned());
        task::spawn("reshard", async move { resharded(&servers, &topic, &to, shards).await })
    };
    let settings = config::Kafka::plaintext(servers, to);
    eventually("something is copied", APPLIED_WAIT_MAX, || async {
        let log = KafkaLog::connect(&settings, to).await.map_err(|error| error.to_string())?;
        let range = log.range(ShardId::new(0)).await.map_err(|error| error.to_string())?;
        if range.end > 1 { Ok(()) } else { Err(format!("{range:?}")) }
    })
    .await;
    drop(cut_off);
    // What was under way may come late, as it may when a process is killed.
    eventually("the copy is finished", APPLIED_WAIT_MAX, || resharded(servers, topic, to, shards))
        .await;
}

async fn resharded(servers: &str, topic: &str, to: &str, shards: u32) -> Result<(), String> {
    let variables =
        [("TRADEWIND_KAFKA__BOOTSTRAP_SERVERS", servers), ("TRADEWIND_KAFKA__TOPIC", topic)];
    let loaded = Layers::default().environment(variables).load::<ReshardSettings>();
    let settings = loaded.expect("settings").settings;
    let options = reshard::Options { to: to.to_owned(), shards };
    reshard::run(settings, options).await.map_err(|error| format!("{error:#}"))
}

/// All commits of each stream, but for where they stand.
async fn streams(log: &KafkaLog) -> BTreeMap<String, Vec<Vec<EventRecord>>> {
    let mut streams = BTreeMap::<_, Vec<_>>::new();
    for shard in (0..log.shard_count()).map(ShardId::new) {
        for (commit, _) in contract::commits(log, shard, None).await {
            let CommitBody::Events(events) = commit.body else { continue };
            let stream = events.first().expect("an event").stream.clone();
            assert_eq!(shard_of(&stream, log.shard_count()), shard, "{stream}");
            let unplaced = events.into_iter().map(|it| EventRecord { place: sample::PLACE, ..it });
            streams.entry(stream.to_string()).or_default().push(unplaced.collect());
        }
    }
    streams
}

/// Waits until all read models show all that the log holds.
async fn applied(stack: &Stack, log: &KafkaLog) {
    let mut ends = BTreeMap::new();
    for shard in (0..log.shard_count()).map(ShardId::new) {
        let commits = contract::commits(log, shard, None).await;
        let end = commits.last().map_or(0, |(_, behind)| behind.next_offset);
        ends.insert(u64::from(shard.index()), end);
    }
    let wanted = read_models::ALL.len() * ends.len();
    eventually("all is applied", APPLIED_WAIT_MAX, || async {
        let positions = send(stack.staff().query("/v1/positions")).await.body;
        let is_level = |it: &&Value| {
            let end = it["shard"].as_u64().and_then(|shard| ends.get(&shard));
            end.is_some_and(|end| it["next_offset"].as_i64() >= Some(*end))
        };
        let items = positions["items"].as_array().expect("items");
        if items.iter().filter(is_level).count() == wanted { Ok(()) } else { Err(positions) }
    })
    .await;
}

/// All rows of all read models, as readers see them. Sales are kept by shard and read as sums, and events
/// without their places.
async fn rows(stack: &Stack) -> BTreeMap<&'static str, Vec<String>> {
    let settings =
        config::Postgres { url: stack.read_models().to_owned().into(), connections_max: 4 };
    let pool = infra::postgres::pool(&settings, "test").expect("a pool");
    let mut all = BTreeMap::new();
    for (view, _) in read_models::ALL.iter().flat_map(|model| model.views) {
        let sums = "sum(orders) AS orders, sum(units) AS units, sum(revenue) AS revenue";
        let from = match *view {
            "sales" => format!(
                "(SELECT day, department, channel, currency, {sums} FROM read.sales GROUP BY 1, 2, 3, 4)"
            ),
            "sales_totals" => {
                format!(
                    "(SELECT day, channel, currency, {sums} FROM read.sales_totals GROUP BY 1, 2, 3)"
                )
            }
            // Where an event stands in the log is what changes.
            "events" => {
                "(SELECT stream, revision, id, type, recorded_at, command_id, correlation_id, \
                causation_id, actor, data FROM read.events)"
                    .to_owned()
            }
            view => format!("read.{view}"),
        };
        let sql = format!("SELECT to_jsonb(it)::text FROM {from} AS it ORDER BY 1");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&pool).await.expect("rows");
        all.insert(*view, rows);
    }
    pool.close().await;
    all
}
