//! What happened to one thing, and what it was then.
#![expect(clippy::expect_used, reason = "a stream that cannot be read fails the test")]

use serde_json::{Value, json};
use stack::eventually::eventually;
use tests::harness::Stack;
use tests::harness::client::{Answer, send};

use crate::shop::{Cart, SETTLE_WAIT_MAX, product, settled_order};

/// A cart, and the order that it became, as it is in the end.
async fn bought(stack: &Stack, sku: &str) -> (Cart, Value) {
    let cart = Cart::create(stack.anon(), &json!([{"sku": sku, "quantity": 2}])).await;
    let checkout = cart.check_out("tok_ok").await.expect(202);
    let order = settled_order(stack, &checkout).await;
    assert_eq!(order["status"], "confirmed");
    (cart, order)
}

fn events_of(kind: &str, id: &Value) -> String {
    format!("/v1/streams/{kind}/{}/events", id.as_str().expect("an id"))
}

fn items(answer: &Answer) -> &[Value] {
    answer.body["items"].as_array().expect("items")
}

/// The history of a stream, once it has so many events.
async fn history(stack: &Stack, path: &str, count: usize) -> Answer {
    eventually("the events of the stream", SETTLE_WAIT_MAX, || async {
        let answer = stack.analyst().get(path).await;
        let is_all = answer.status == 200 && items(&answer).len() == count;
        if is_all { Ok(answer) } else { Err(answer.body) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_event_by_event_as_a_replay_shows_it() {
    let stack = Stack::start().await;
    product(&stack, "TEA-1", 450, 100).await;
    let (cart, order) = bought(&stack, "TEA-1").await;
    let path = events_of("order", &order["id"]);
    let all = history(&stack, &path, 3).await;
    let events = items(&all);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str()).collect();
    let kind = |name| Some(name);
    assert_eq!(
        kinds,
        [
            kind("tradewind.order.placed.v1"),
            kind("tradewind.order.stock_reserved.v1"),
            kind("tradewind.order.confirmed.v1"),
        ]
    );
    assert!(events[0]["data"]["email"].as_str().is_some_and(|email| email.starts_with('~')));

    // What a line of a replay has, too, is the same.
    let stream = events[0]["subject"].as_str().expect("a stream");
    let replayed = stack.analyst().query(&format!("/v1/events?stream={stream}"));
    let replayed = replayed.send().await.expect("an answer").text().await.expect("lines");
    let lines = replayed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines: Vec<_> = lines.filter(|line| line["cursor"].is_null()).collect();
    assert_eq!(lines.len(), events.len());
    for (line, event) in lines.iter().zip(events) {
        for (name, value) in event.as_object().expect("an object") {
            let is_own = ["shard", "position"].contains(&&**name);
            assert!(is_own || line[name] == *value, "{name}: {line} {event}");
        }
    }

    // Pages, both ways.
    let back = stack.analyst().get(&format!("{path}?order=desc&limit=2")).await.expect(200);
    let revisions = |answer: &Answer| -> Vec<Value> {
        items(answer).iter().map(|event| event["revision"].clone()).collect()
    };
    assert_eq!(revisions(&back), [3, 2]);
    let next = format!("{path}?order=desc&limit=2&cursor={}", back.text("/next"));
    let last = stack.analyst().get(&next).await.expect(200);
    assert_eq!((revisions(&last), &last.body["next"]), (vec![json!(1)], &Value::Null));
    let request = stack.analyst().query(&path).header("If-None-Match", all.header("etag"));
    send(request).await.expect(304);

    // The guest whose order it is may read it, and others may not.
    let own = cart.read(&path).await.expect(200);
    assert_eq!(own.body["items"], all.body["items"]);
    let of_cart = events_of("cart", &json!(cart.id));
    assert!(!items(&cart.read(&of_cart).await.expect(200)).is_empty());
    cart.read("/v1/streams/stock/TEA-1/events").await.expect_problem(404, "not_found");
    let (other, _) = bought(&stack, "TEA-1").await;
    other.read(&path).await.expect_problem(404, "not_found");
    stack.anon().get(&path).await.expect_problem(404, "not_found");
    let nobody = "/v1/streams/order/01890a5d-ac96-774b-bcce-b302099a8057/events";
    stack.analyst().get(nobody).await.expect_problem(404, "not_found");

    // Streams that changed.
    let streams = stack.staff().get("/v1/streams?type=order").await.expect(200);
    assert_eq!(items(&streams).len(), 2, "{}", streams.body);
    let first = &items(&streams)[0];
    assert_eq!((&first["stream"], &first["revision"]), (&json!(stream), &json!(3)));
    assert_eq!(first["created_at"], events[0]["time"]);
    assert_eq!(first["changed_at"], events[2]["time"]);
    let page = stack.staff().get("/v1/streams?type=order&limit=1").await.expect(200);
    let page = format!("/v1/streams?type=order&limit=1&cursor={}", page.text("/next"));
    let page = stack.staff().get(&page).await.expect(200);
    assert_eq!(page.body["items"][0], items(&streams)[1]);
    let at = first["changed_at"].as_str().expect("a time");
    let since = stack.staff().get(&format!("/v1/streams?type=order&changed_after={at}")).await;
    assert_eq!(since.expect(200).body["items"], json!([items(&streams)[1]]));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_is_shown_as_it_was() {
    let stack = Stack::start().await;
    let created = product(&stack, "TEA-1", 450, 100).await;
    let (cart, order) = bought(&stack, "TEA-1").await;
    let analyst = stack.analyst();
    let events = history(&stack, &events_of("order", &order["id"]), 3).await;
    let at = |n: usize, what: &str| items(&events)[n][what].as_str().expect("a text").to_owned();
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));

    let placed = analyst.get(&format!("{path}?as_of={}", at(0, "position"))).await.expect(200);
    assert_eq!((&placed.body["status"], &placed.body["revision"]), (&json!("pending"), &json!(1)));
    assert_eq!(placed.header("etag"), "\"1\"");
    let then = analyst.get(&format!("{path}?as_of={}", at(1, "time"))).await.expect(200);
    assert_eq!((&then.body["status"], &then.body["revision"]), (&json!("pending"), &json!(2)));
    let now = analyst.get(&format!("{path}?as_of={}", at(2, "time"))).await.expect(200);
    assert_eq!(now.body, order);
    let query = format!("{path}?as_of={}&diff={}", at(0, "time"), at(2, "position"));
    let diff = analyst.get(&query).await.expect(200).body;
    assert_eq!((&diff["status"], &diff["diff"]["to_revision"]), (&json!("pending"), &json!(3)));
    assert_eq!(diff["diff"]["events"], json!([items(&events)[1], items(&events)[2]]));
    let changes = diff["diff"]["changes"].as_array().expect("changes");
    let status = json!({ "pointer": "/status", "from": "pending", "to": "confirmed" });
    assert!(changes.contains(&status), "{changes:?}");
    let step = changes.iter().find(|change| change["pointer"] == "/timeline/1").expect("a step");
    assert_eq!((&step["to"]["type"], step.get("from")), (&json!("stock_reserved"), None));

    let back = format!("{path}?as_of={}&diff={}", at(2, "time"), at(0, "position"));
    analyst.get(&back).await.expect_problem(422, "invalid_field");

    // It is the guest's own, and nobody else's.
    let own = cart.read(&format!("{path}?as_of={}", at(2, "time"))).await.expect(200);
    assert_eq!(own.body, order);
    let (other, _) = bought(&stack, "TEA-1").await;
    other.read(&format!("{path}?as_of=now-0s")).await.expect_problem(404, "not_found");
    stack.anon().get(&format!("{path}?as_of=now-0s")).await.expect_problem(404, "not_found");

    // What is wrong is told precisely.
    analyst
        .get(&format!("{path}?as_of=2020-01-01T00:00:00Z"))
        .await
        .expect_problem(404, "not_found");
    analyst
        .get(&format!("{path}?as_of=2999-01-01T00:00:00Z"))
        .await
        .expect_problem(422, "invalid_field");
    let other_log =
        infra::position::Position::of(domain::shard::ShardId::new(0), infra::log::Nonce(7), 1);
    analyst.get(&format!("{path}?as_of={other_log}")).await.expect_problem(400, "unknown_log");

    // The others, as they are now and as they were.
    let of_product = format!("/v1/products/{}", created.text("/id"));
    let of_cart = format!("/v1/carts/{}", cart.id);
    for path in [&*of_product, "/v1/stock/TEA-1", &of_cart] {
        let now = stack.operator().get(path).await.expect(200).body;
        let same = eventually("as it is now", SETTLE_WAIT_MAX, || async {
            let was = stack.operator().get(&format!("{path}?as_of=now-0s")).await;
            if was.status == 200 && was.body == now { Ok(was) } else { Err(was.body) }
        });
        same.await;
    }
    let stock = history(&stack, "/v1/streams/stock/TEA-1/events", 5).await;
    let first = items(&stock)[0]["position"].as_str().expect("a position").to_owned();
    let was = analyst.get(&format!("/v1/stock/TEA-1?as_of={first}")).await.expect(200);
    assert_eq!(was.body, json!({"sku": "TEA-1", "on_hand": 100, "reserved": 0, "available": 100}));
    stack.anon().get("/v1/stock/TEA-1?as_of=now-0s").await.expect_problem(401, "unauthenticated");
    let draft = history(&stack, &events_of("product", &created.body["id"]), 2).await;
    let first = items(&draft)[0]["position"].as_str().expect("a position").to_owned();
    let was = stack.staff().get(&format!("{of_product}?as_of={first}")).await.expect(200);
    assert_eq!((&was.body["status"], &was.body["revision"]), (&json!("draft"), &json!(1)));
    stack.finish().await;
}
