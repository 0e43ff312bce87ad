//! What analysts see: views that follow the live version, with pseudonyms in place of people.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use infra::{config, task};
use query_api::cli::{SqlSettings, Usage, sql};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stack::eventually::eventually;
use uuid::Uuid;

use crate::{
    history::{Event, Owner, confirmed, placed, stock_reserved},
    rig::{PSEUDONYM_KEY, Rig, WAIT_MAX},
};

/// An order that this customer placed and paid.
fn bought(owner: &mut Owner, customer: &str, currency: &str) {
    let id = Uuid::now_v7();
    let mut order = placed(id);
    order.data["customer_reference"] = json!(customer);
    let text = order.data.to_string().replace("\"USD\"", &format!("\"{currency}\""));
    owner.commit(&[Event { data: serde_json::from_str(&text).expect("JSON"), ..order }]);
    owner.commit(&[stock_reserved(id)]);
    let mut paid = confirmed(id);
    paid.data["paid"]["currency"] = json!(currency);
    owner.commit(&[paid]);
}

async fn analyst(rig: &Rig) -> PgConnection {
    PgConnection::connect(&rig.analyst_url).await.expect("a connection")
}

/// One value, as text.
async fn told(connection: &mut PgConnection, sql: &str) -> String {
    let sql = AssertSqlSafe(format!("SELECT ({sql})::text"));
    sqlx::query_scalar(sql).fetch_one(connection).await.expect("a value")
}

/// As replays show them.
fn pseudonym(text: &str) -> String {
    let hash = infra::pseudonym::hmac(&PSEUDONYM_KEY.into()).chain_update(text);
    format!("~{}", URL_SAFE_NO_PAD.encode(&hash.finalize().into_bytes()[..16]))
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_flat_and_tell_of_nobody() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    let mut owner = Owner::claim(&rig.log, 0).await;
    for (customer, currency) in [("ada", "USD"), ("ada", "USD"), ("bob", "JPY")] {
        bought(&mut owner, customer, currency);
    }
    rig.applied().await;
    let mut analyst = analyst(&rig).await;
    let ada = pseudonym("ada");
    for (sql, expected) in [
        ("SELECT sum(total) FROM orders WHERE currency = 'USD'", "10.00"),
        ("SELECT sum(total) FROM orders WHERE currency = 'JPY'", "500"),
        ("SELECT count(DISTINCT customer) FROM orders", "2"),
        ("SELECT DISTINCT customer FROM orders WHERE currency = 'USD'", &*ada),
        ("SELECT min(placed_at) FROM orders", "2026-01-31 12:00:00+00"),
        ("SELECT count(*) FROM orders WHERE confirmed_at IS NOT NULL AND rejected_at IS NULL", "3"),
        ("SELECT max(units) FROM orders", "3"),
        ("SELECT sum(total) FROM order_lines WHERE sku = 'B' AND currency = 'USD'", "6.00"),
        ("SELECT max(line) FROM order_lines", "2"),
        ("SELECT sum(discount) FROM order_lines WHERE currency = 'USD'", "0.00"),
        ("SELECT revenue FROM sales WHERE department = 'DAIRY' AND currency = 'USD'", "4.00"),
        ("SELECT min(week) FROM sales", "2026-01-26"),
        ("SELECT count(*) FROM carts", "0"),
        ("SELECT count(*) FROM stock", "0"),
        ("SELECT count(*) FROM products", "0"),
        // Every view and every column says what it is.
        (
            "SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
             WHERE relnamespace = 'analytics'::regnamespace AND attnum > 0
               AND (col_description(attrelid, attnum) IS NULL OR obj_description(attrelid) IS NULL)",
            "0",
        ),
    ] {
        assert_eq!(told(&mut analyst, sql).await, expected, "{sql}");
    }
    analyst.close().await.ok();
    projector.end(rig).await;
}

/// What `query-api sql` writes, or says.
async fn asked(rig: &Rig, format: sql::Format, statement: &str) -> Result<String, (bool, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("rows");
    let sql = config::Sql {
        url: rig.analyst_url.clone().into(),
        statement_wait_max: Duration::from_secs(1),
    };
    let options =
        sql::Options { statement: statement.to_owned(), format, out: Some(out.clone()), limit: 5 };
    let ended = sql::run(&SqlSettings { sql }, &options).await;
    let files = std::fs::read_dir(folder.path()).expect("a folder").count();
    match ended {
        Ok(_) => {
            assert_eq!(files, 1, "nothing else is left");
            Ok(std::fs::read_to_string(&out).expect("rows"))
        }
        Err(error) => {
            assert_eq!(files, 0, "nothing is left of {statement}");
            Err((error.is::<Usage>(), format!("{error:#}")))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_written_as_asked_for_or_refused_with_a_reason() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    let mut owner = Owner::claim(&rig.log, 0).await;
    bought(&mut owner, "ada", "USD");
    rig.applied().await;
    let lines = "SELECT sku, total, status, NULL AS no, placed_at FROM order_lines ORDER BY line";
    let csv = asked(&rig, sql::Format::Csv, lines).await;
    let at = "2026-01-31T12:00:00Z";
    let expected =
        format!("sku,total,status,no,placed_at\nA,2.00,confirmed,,{at}\nB,3.00,confirmed,,{at}\n");
    assert_eq!(csv.as_deref(), Ok(&*expected));
    let json = asked(&rig, sql::Format::Json, "SELECT total, units FROM orders").await;
    assert_eq!(json.as_deref(), Ok("[\n{\"total\": 5.00, \"units\": 3}\n]\n"));

    for (statement, is_wrong, said) in [
        ("DELETE FROM orders", true, "this only reads"),
        ("CREATE TABLE mine (id int)", true, "this only reads"),
        ("SELECT FROM read.orders", true, "permission denied for schema read"),
        ("SELECT 1; DROP VIEW orders", true, "multiple commands"),
        ("SELECT colour FROM orders", true, "column \"colour\" does not exist"),
        ("COMMIT", true, "no rows to show"),
        ("", true, "no rows to show"),
        ("SELECT 1 AS a, 2 AS a", true, "two columns are called \"a\""),
        ("SELECT * FROM generate_series(1, 6)", false, "more than 5 rows"),
        ("SELECT pg_sleep(10)", false, "took too long"),
    ] {
        let (was_wrong, found) =
            asked(&rig, sql::Format::Json, statement).await.expect_err(statement);
        assert!(was_wrong == is_wrong && found.contains(said), "{statement}: {found}");
    }
    projector.end(rig).await;
}

/// A report that takes its time does not hold up a switch: it is cancelled, and the next one sees the
/// new version. A transaction that does nothing does not either.
#[tokio::test(flavor = "multi_thread")]
async fn views_follow_the_version_that_is_live_whatever_analysts_do() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    let mut owner = Owner::claim(&rig.log, 0).await;
    bought(&mut owner, "ada", "USD");
    rig.applied().await;
    projector.act("orders", "rebuild", json!({})).await;
    projector.settled("orders", 2, "standby").await;

    let mut idle = analyst(&rig).await;
    sqlx::raw_sql("BEGIN; SELECT FROM orders").execute(&mut idle).await.expect("a look");
    let mut busy = analyst(&rig).await;
    let report = task::spawn("report", async move {
        sqlx::raw_sql("SELECT pg_sleep(50) FROM orders").execute(&mut busy).await
    });
    let running = "SELECT count(*) FROM pg_stat_activity
         WHERE usename = 'tradewind_analyst' AND query LIKE 'SELECT pg_sleep%' AND wait_event = 'PgSleep'";
    rig.becomes("the report to run", running, 1).await;

    projector.act("orders", "switch", json!({})).await;
    projector.settled("orders", 2, "live").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), report).await.expect("an end");
    let ended = ended.expect("no panic").expect_err("a report that was cancelled");
    let code = ended.as_database_error().and_then(|error| error.code()).expect("a code");
    assert_eq!(code, "57014");

    let mut next = analyst(&rig).await;
    let view = "SELECT pg_get_viewdef('analytics.orders'::regclass)";
    assert!(told(&mut next, view).await.contains("orders_v2.orders"));
    assert_eq!(told(&mut next, "SELECT count(*) FROM orders").await, "1");
    projector.act("orders", "rollback", json!({})).await;
    eventually("the version before to be shown", WAIT_MAX, || async {
        let mut connection = analyst(&rig).await;
        let view = told(&mut connection, view).await;
        if view.contains("orders_v1.orders") { Ok(()) } else { Err(view) }
    })
    .await;
    assert_eq!(told(&mut next, "SELECT count(*) FROM orders").await, "1");
    projector.end(rig).await;
}
