//! The read models hold what the log comes to, no less and no more.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::fold::{Fold, amount, line};
use crate::faults::site::Site;
use stack::eventually::wait_for;

const CATCH_UP_WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) async fn check(site: &Site, fold: &Fold, violations: &mut Vec<String>) -> Result<()> {
    let url = site.state.databases(&site.secrets).reader;
    let mut database = PgConnection::connect(&url).await.context("reading the read models")?;
    if let Err(error) = catch_up(&url, fold).await {
        violations.push(format!("{error:#}"));
    }
    compare("stock", &stocks(fold), &read_stocks(&mut database).await?, violations);
    compare("order", &orders(fold), &read_orders(&mut database).await?, violations);
    compare("sales", &fold.sales, &read_sales(&mut database).await?, violations);
    Ok(database.close().await?)
}

/// Waits until every projection has applied the whole log.
async fn catch_up(url: &str, fold: &Fold) -> Result<()> {
    wait_for("the read models to be up to date", CATCH_UP_WAIT_MAX, || async {
        match behind(url, fold).await {
            Ok(behind) if behind.is_empty() => ControlFlow::Break(Ok(())),
            Ok(behind) => ControlFlow::Continue(behind.join(", ")),
            Err(error) => ControlFlow::Continue(format!("{error:#}")),
        }
    })
    .await
}

async fn behind(url: &str, fold: &Fold) -> Result<Vec<String>> {
    let mut database = PgConnection::connect(url).await?;
    let sql = "SELECT projection, shard, next_offset, halted FROM projection.checkpoints";
    let rows: Vec<(String, i32, i64, Option<String>)> =
        sqlx::query_as(sql).fetch_all(&mut database).await?;
    let ends = fold.ends();
    let is_behind = |shard: &i32, offset: &i64| {
        let end = u32::try_from(*shard).ok().and_then(|shard| ends.get(&shard));
        end.is_some_and(|end| offset < end)
    };
    let behind = rows.iter().filter(|(_, shard, offset, _)| is_behind(shard, offset));
    Ok(behind.map(|row| format!("{row:?}")).collect())
}

type Stocks = BTreeMap<String, (i64, i64, i64)>;

fn stocks(fold: &Fold) -> Stocks {
    let last = fold.stocks.iter().filter_map(|(sku, states)| Some((sku.clone(), states.last()?)));
    let revision = |revision: u64| i64::try_from(revision).unwrap_or(i64::MAX);
    last.map(|(sku, it)| (sku, (it.on_hand, it.reserved, revision(it.revision)))).collect()
}

async fn read_stocks(database: &mut PgConnection) -> Result<Stocks> {
    let sql = "SELECT sku, on_hand, reserved, revision FROM read.stock";
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(sql).fetch_all(database).await?;
    Ok(rows
        .into_iter()
        .map(|(sku, on_hand, reserved, revision)| (sku, (on_hand, reserved, revision)))
        .collect())
}

/// Of an order: status, channel, day, lines, total, paid, revision.
type Shown = (String, String, String, Vec<(String, i64, i64)>, i64, i64, i64);

fn orders(fold: &Fold) -> BTreeMap<String, Shown> {
    let shown = fold.orders.iter().map(|(id, it)| {
        let revision = i64::try_from(it.revision).unwrap_or(i64::MAX);
        let (status, channel, day) = (it.status.to_owned(), it.channel.clone(), it.day.clone());
        (id.clone(), (status, channel, day, it.lines.clone(), it.total, it.paid, revision))
    });
    shown.collect()
}

async fn read_orders(database: &mut PgConnection) -> Result<BTreeMap<String, Shown>> {
    let sql =
        "SELECT id::text, status, channel, placed_at::date::text, doc, revision FROM read.orders";
    let rows: Vec<(String, String, String, String, Value, i64)> =
        sqlx::query_as(sql).fetch_all(database).await?;
    let shown = rows.into_iter().map(|(id, status, channel, day, doc, revision)| {
        let lines = doc["lines"].as_array().map_or(&[][..], Vec::as_slice);
        let lines = lines.iter().map(line).collect();
        let (total, paid) = (amount(&doc["totals"]["total"]), amount(&doc["totals"]["paid"]));
        (id, (status, channel, day, lines, total, paid, revision))
    });
    Ok(shown.collect())
}

type Sales = BTreeMap<(String, String, String), (i64, i64, i64)>;

async fn read_sales(database: &mut PgConnection) -> Result<Sales> {
    let sql = "SELECT day::text, department, channel, sum(orders)::bigint, sum(units)::bigint, \
               sum(revenue)::bigint FROM read.sales GROUP BY day, department, channel";
    let rows: Vec<(String, String, String, i64, i64, i64)> =
        sqlx::query_as(sql).fetch_all(database).await?;
    let figures = rows.into_iter().map(|(day, department, channel, orders, units, revenue)| {
        ((day, department, channel), (orders, units, revenue))
    });
    Ok(figures.collect())
}

/// Names every key on which the two sides differ.
pub(super) fn compare<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    log: &BTreeMap<K, V>,
    model: &BTreeMap<K, V>,
    violations: &mut Vec<String>,
) {
    for (key, expected) in log {
        let found = model.get(key);
        if found != Some(expected) {
            violations
                .push(format!("{what} {key:?}: the log has {expected:?}, the model {found:?}"));
        }
    }
    let invented = model.iter().filter(|(key, _)| !log.contains_key(key));
    violations.extend(
        invented.map(|(key, found)| {
            format!("{what} {key:?}: the log has nothing, the model {found:?}")
        }),
    );
}
