//! The sales report.

use chrono::NaiveDate;
use domain::{
    Event,
    id::{CartId, OrderId, PaymentId, StreamId},
    order::Event::{Confirmed, Placed},
    timestamp::Timestamp,
};
use read_models::sales::SALES;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Rig, checkout, each, instant, usd};

type Sale = (StreamId, Vec<(Timestamp, Event)>);

/// An order at noon of a day that was confirmed; of each line the department, units and total.
fn sale(day: &str, channel: &str, currency: &str, lines: &[(&str, u32, i64)]) -> Sale {
    let (id, noon) = (Uuid::now_v7(), format!("{day}T12:00:00Z"));
    let checkout = checkout(&noon, channel, currency, lines);
    let paid = checkout.totals.total;
    let placed = Placed { cart_id: CartId::new(id), checkout };
    let confirmed = Confirmed { payment_id: PaymentId::new(id), paid };
    let events = [placed, confirmed].map(|event| (instant(&noon), Event::Order(event)));
    (OrderId::new(id).stream(), events.into())
}

fn till(day: &str, amount: i64) -> Sale {
    sale(day, "pos", "USD", &[("GROCERY", 1, amount)])
}

/// An order in two departments counts in each of them, and once in the totals; shards add up.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    let both = [("GROCERY", 2, 200), ("DELI", 2, 250)];
    let first = [
        sale("2017-01-01", "pos", "USD", &both),
        sale("2017-01-01", "pos", "USD", &[("GROCERY", 3, 300)]),
        sale("2017-01-02", "web", "USD", &[("GROCERY", 1, 120)]),
        sale("2017-01-02", "web", "EUR", &[("GROCERY", 1, 110)]),
    ];
    rig.project_all(&SALES, 0, first).await;
    rig.project_all(&SALES, 1, [till("2017-01-01", 100)]).await;
    rig
}

async fn report(rig: &Rig, query: &str) -> Value {
    rig.operator().get(&format!("/v1/reports/sales?{query}")).await.expect(200).body["items"].take()
}

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_count_once_where_departments_are_not_asked_for() {
    let rig = rig().await;
    let expected = json!([
        {"orders": 1, "units": 1, "revenue": eur(110)},
        {"orders": 4, "units": 9, "revenue": usd(970)},
    ]);
    assert_eq!(report(&rig, "").await, expected);
    let expected = json!([
        {"department": "DELI", "channel": "pos", "orders": 1, "units": 2, "revenue": usd(250)},
        {"department": "GROCERY", "channel": "pos", "orders": 3, "units": 6, "revenue": usd(600)},
        {"department": "GROCERY", "channel": "web", "orders": 1, "units": 1, "revenue": eur(110)},
        {"department": "GROCERY", "channel": "web", "orders": 1, "units": 1, "revenue": usd(120)},
    ]);
    assert_eq!(report(&rig, "group_by=department,channel").await, expected);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_and_channels_narrow_the_report() {
    let rig = rig().await;
    let expected = json!([{"day": "2017-01-01", "orders": 3, "units": 8, "revenue": usd(850)}]);
    assert_eq!(report(&rig, "group_by=day&from=2017-01-01&to=2017-01-01").await, expected);
    assert_eq!(report(&rig, "group_by=day&channel=pos").await, expected);
    assert_eq!(report(&rig, "from=2018-01-01").await, json!([]));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_exact_beyond_64_bits() {
    let rig = Rig::start().await;
    let largest = || till("2017-01-01", i64::MAX);
    rig.project_all(&SALES, 0, [largest()]).await;
    let others = [largest(), largest(), largest(), till("2017-01-01", 1)];
    rig.project_all(&SALES, 1, others).await;
    // The text, for not every parser of JSON has such numbers.
    let answer = rig.operator().query("/v1/reports/sales").send().await.expect("an answer");
    let text = answer.text().await.expect("a body");
    let sum = i128::from(i64::MAX) * 4 + 1;
    assert!(text.contains(&format!("\"amount\":{sum},")), "{text}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weeks_are_those_of_iso_8601() {
    let rig = Rig::start().await;
    // Around new years the week's year is not the day's.
    for (day, week) in [
        ("0001-01-01", "0001-W01"),
        ("0999-12-31", "1000-W01"),
        ("9999-12-31", "9999-W52"),
        ("2017-01-01", "2016-W52"),
        ("2017-01-02", "2017-W01"),
        ("2018-12-31", "2019-W01"),
        ("2021-01-03", "2020-W53"),
        ("2024-12-29", "2024-W52"),
        ("2024-12-30", "2025-W01"),
    ] {
        rig.project_all(&SALES, 0, [till(day, 1)]).await;
        let items = report(&rig, &format!("group_by=month,week&from={day}&to={day}")).await;
        assert_eq!((&items[0]["week"], &items[0]["month"]), (&week.into(), &day[..7].into()));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_and_instants_that_no_calendar_has_are_refused() {
    let rig = Rig::start().await;
    let refused = async |path: String, pointer: &str| {
        rig.operator().get(&path).await.expect_invalid(pointer);
    };
    for day in ["-9999-01-01", "0000-12-31", "%2B10000-01-01", "2017-1-5", "2017-02-29", "now", ""]
    {
        refused(format!("/v1/reports/sales?from={day}"), "/from").await;
        refused(format!("/v1/reports/sales?to={day}"), "/to").await;
        refused(format!("/v1/orders?placed_after={day}T00:00:00Z"), "/placed_after").await;
        refused(format!("/v1/orders?placed_before={day}T00:00:00Z"), "/placed_before").await;
    }
    let all = "/v1/reports/sales?from=0001-01-01&to=9999-12-31";
    let _all = rig.operator().get(all).await.expect(200);
    let all =
        "/v1/orders?placed_after=0001-01-01T00:00:00Z&placed_before=9999-12-31T23:59:59.999999Z";
    let _all = rig.operator().get(all).await.expect(200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_comes_whole_or_in_pages() {
    let rig = Rig::start().await;
    let first: NaiveDate = "2017-01-01".parse().expect("a day");
    let days = first.iter_days().take(300);
    rig.project_all(&SALES, 0, days.map(|day| till(&day.to_string(), 1))).await;
    let whole = report(&rig, "group_by=day").await;
    assert_eq!(whole.as_array().map(Vec::len), Some(300));
    let (mut days, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/reports/sales?group_by=day&limit=150{cursor}");
        let page = rig.operator().get(&path).await.expect(200);
        days.extend(each(&page, "/day"));
        let Some(next) = page.body["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(days.len(), 300);
    assert!(days.iter().map(Value::as_str).is_sorted());
    rig.end().await;
}
