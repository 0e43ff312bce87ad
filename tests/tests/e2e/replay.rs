//! The log, replayed for analysts.
#![expect(clippy::expect_used, reason = "a replay that cannot be read fails the test")]

use futures_util::StreamExt;
use rand::Rng;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tests::harness::Stack;
use tests::harness::client::Client;

use crate::shop::{Cart, product, settled_order};

/// The events of a replay that is cut off so many times, somewhere.
async fn replayed(client: &Client, query: &str, cuts: usize) -> Vec<String> {
    let (mut events, mut cursor, mut cuts) = (Vec::new(), None::<String>, cuts);
    loop {
        let sent = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        // A rate makes chunks small, so that there is something to cut.
        let path = format!("/v1/events?rate=50{query}{sent}");
        let answer = client.query(&path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let kept = if cuts > 0 { rand::rng().random_range(0..40_000) } else { usize::MAX };
        let (mut body, mut text) = (answer.bytes_stream(), Vec::new());
        // One that follows has no end.
        let is_level = |text: &[u8]| text.windows(9).any(|part| part == b"\"left\":0,");
        while text.len() < kept && !is_level(&text) {
            let Some(bytes) = body.next().await else { break };
            text.extend_from_slice(&bytes.expect("a body that is not cut off by the other side"));
        }
        cuts = cuts.saturating_sub(1);
        text.truncate(kept);
        let text = String::from_utf8_lossy(&text);
        let mut since = Vec::new();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            assert!(!line.starts_with("{\"problem\""), "{line}");
            let sign = line.strip_prefix('#').unwrap_or(line);
            if sign.starts_with("{\"cursor\"") {
                let line: Value = serde_json::from_str(sign).expect("a cursor");
                cursor = line["cursor"].as_str().map(str::to_owned);
                events.append(&mut since);
                if line["left"] == 0 {
                    return events;
                }
            } else {
                since.push(line.to_owned());
            }
        }
    }
}

fn time(line: &str) -> String {
    let event: Value = serde_json::from_str(line).expect("an event");
    event["time"].to_string()
}

fn sorted(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_sees_people_as_they_are_and_leaves_a_record() {
    let stack = Stack::start().await;
    product(&stack, "TEA-1", 450, 100).await;
    let cart = Cart::create(stack.anon(), &json!([{"sku": "TEA-1", "quantity": 1}])).await;
    cart.check_out("tok_ok").await.expect(202);
    let query = "&type=order.placed&personal=shown";
    let path = format!("/v1/events?{}", query.trim_start_matches('&'));
    stack.analyst().get(&path).await.expect_problem(403, "forbidden");
    let mut events = Vec::new();
    while events.is_empty() {
        events = replayed(&stack.operator(), query, 0).await;
    }
    let event: Value = serde_json::from_str(&events[0]).expect("an event");
    assert_eq!(event["data"]["email"], "guest@example.com");
    let sql = "SELECT reader, request FROM audit.personal_reads ORDER BY id LIMIT 1";
    let mut database = PgConnection::connect(stack.database()).await.expect("the database");
    let (reader, request): (String, String) =
        sqlx::query_as(sql).fetch_one(&mut database).await.expect("a record");
    let mut service = PgConnection::connect(stack.read_models()).await.expect("the database");
    let refused = sqlx::query(sql).fetch_one(&mut service).await.expect_err("it may only add");
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    assert!(reader.starts_with("key:"), "{reader}");
    assert_eq!(request, "personal=shown&type=order.placed");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_cut_off_shows_what_one_shows_that_is_not() {
    let stack = Stack::start().await;
    product(&stack, "TEA-1", 450, 100).await;
    for _ in 0..3 {
        let lines = json!([{"sku": "TEA-1", "quantity": 1}]);
        let cart = Cart::create(stack.anon(), &lines).await;
        let checkout = cart.check_out("tok_ok").await.expect(202);
        let order = settled_order(&stack, &checkout).await;
        assert_eq!(order["status"], "confirmed");
    }
    let analyst = stack.analyst();
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let until = format!("&to={now}");
    let whole = replayed(&analyst, &until, 0).await;
    assert!(whole.len() > 20, "{whole:#?}");
    assert_eq!(replayed(&analyst, &until, 20).await, whole);

    let by_time = format!("{until}&order=time");
    let merged = replayed(&analyst, &by_time, 0).await;
    assert_eq!(replayed(&analyst, &by_time, 20).await, merged);
    assert!(merged.iter().map(|line| time(line)).is_sorted(), "{merged:#?}");
    assert_eq!(sorted(merged), sorted(whole.clone()));
    // The same events at least, for the shop goes on.
    let followed = replayed(&analyst, "&follow=true&order=time", 20).await;
    assert_eq!(
        sorted(followed.iter().filter(|line| whole.contains(line)).cloned()),
        sorted(whole.clone())
    );
    let rows =
        replayed(&analyst, &format!("{until}&format=csv&columns=stream,data.channel"), 20).await;
    assert_eq!(rows.len(), whole.len() + 1);
    assert_eq!(rows.first().map(String::as_str), Some("stream,data.channel"));

    let placed = replayed(&analyst, "&type=order.placed&where=data.channel=web", 0).await;
    assert_eq!(placed.len(), 3);
    for event in &placed {
        let event: Value = serde_json::from_str(event).expect("an event");
        assert_eq!(event["specversion"], "1.0");
        assert!(event["data"]["email"].as_str().is_some_and(|email| email.starts_with('~')));
    }
    let text = whole.join("\n");
    for personal in ["guest@example.com", "A Guest", "1 Quay", "tok_ok"] {
        assert!(!text.contains(personal), "{personal}");
    }
    assert_eq!(replayed(&analyst, "&from=now-7d&stream=stock/TEA-1&actor=guest", 0).await, [""; 0]);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_analysts_replay_and_only_with_cursors_that_they_got() {
    let stack = Stack::start().await;
    stack.anon().get("/v1/events").await.expect_problem(401, "unauthenticated");
    stack.staff().get("/v1/events").await.expect_problem(403, "forbidden");
    let analyst = stack.analyst();
    let body = analyst.query("/v1/events").send().await.expect("an answer").text().await;
    let body = body.expect("a body");
    let last: Value = serde_json::from_str(body.lines().last().expect("a line")).expect("a cursor");
    let cursor = last["cursor"].as_str().expect("a cursor");
    let path = format!("/v1/events?type=order.*&cursor={cursor}");
    analyst.get(&path).await.expect_problem(400, "cursor_of_another_query");
    let forged = format!("/v1/events?cursor={}", &cursor[..cursor.len() - 4]);
    analyst.get(&forged).await.expect_problem(400, "invalid_cursor");
    stack.finish().await;
}
