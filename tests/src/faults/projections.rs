//! What befalls one projection and may hold up no other.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, future::try_join, stream};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::history::{History, Look, SlowCommit};
use super::lag::{Acknowledged, COMMIT_USUAL_MAX, LAG_MAX};
use super::pass::pass;
use super::site::Site;
use crate::harness::client::try_send;
use stack::eventually::wait_for;
use stack::postgres::{self, SUPERUSER};
use stack::{PROJECTOR, plain_http};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const COMMIT_EVERY: Duration = Duration::from_millis(25);
/// One that has left often stays away for a minute.
const LEVEL_WAIT_MAX: Duration = Duration::from_secs(90);
/// Each is a transaction that holds the checkpoint, on a machine that has no time left.
const SETTLED_WAIT_MAX: Duration = Duration::from_secs(240);
const SETTLED_AT_ONCE: usize = 4;
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// Lets nobody write the tables of a projection.
pub(super) async fn lock(
    site: &Site,
    history: &History,
    projection: &str,
    lasts: Duration,
) -> Result<()> {
    all_level(site, history).await?;
    let mut database = connect(site).await?;
    let tables = tables_of(&mut database, projection).await?.join(", ");
    let mut held = database.begin().await?;
    // Readers pass.
    run(&mut held, format!("LOCK TABLE {tables} IN EXCLUSIVE MODE")).await?;
    watch(site, history, projection, lasts).await?;
    held.rollback().await?;
    all_level(site, history).await
}

/// Has the tables of a projection refuse every row, and what was parked therefore tried again.
pub(super) async fn refuse(
    site: &Site,
    history: &History,
    projection: &str,
    lasts: Duration,
) -> Result<()> {
    all_level(site, history).await?;
    let mut database = connect(site).await?;
    let tables = tables_of(&mut database, projection).await?;
    for table in &tables {
        let refuses = "ADD CONSTRAINT refused CHECK (false) NOT VALID";
        run(&mut database, format!("ALTER TABLE {table} {refuses}")).await?;
    }
    let watched = watch(site, history, projection, lasts).await;
    for table in &tables {
        run(&mut database, format!("ALTER TABLE {table} DROP CONSTRAINT refused")).await?;
    }
    watched?;
    let parked = settle(site, projection).await?;
    ensure!(parked > 0, "{projection} refused every row, and nothing was parked");
    all_level(site, history).await
}

/// Looks where the others are for a while, and how long the disk takes meanwhile.
async fn watch(site: &Site, history: &History, besides: &str, lasts: Duration) -> Result<()> {
    let until = Instant::now() + lasts;
    try_join(watch_others(site, history, besides, until), watch_disk(site, history, until)).await?;
    Ok(())
}

/// Commits what nothing else waits for or is waited for by, again and again: it takes as long as the disk
/// does. A commit that takes long is the machine's, and all projections wait for it alike.
async fn watch_disk(site: &Site, history: &History, until: Instant) -> Result<()> {
    let mut database = connect(site).await?;
    while Instant::now() < until {
        let began = history.now();
        run(&mut database, "SELECT pg_logical_emit_message(true, 'faults', '')".to_owned()).await?;
        let ended = history.now();
        if ended - began > COMMIT_USUAL_MAX {
            history.record(|entries| entries.slow_commits.push(SlowCommit { began, ended }));
        }
        pass(COMMIT_EVERY).await;
    }
    Ok(())
}

async fn watch_others(site: &Site, history: &History, besides: &str, until: Instant) -> Result<()> {
    let mut database = connect(site).await?;
    while Instant::now() < until {
        let looks = look(&mut database, history).await?;
        let others = looks.into_iter().filter(|look| look.projection != besides);
        history.record(|entries| entries.looks.extend(others));
        pass(LOOK_EVERY).await;
    }
    Ok(())
}

/// Where all projections are, or are further by now.
async fn look(database: &mut PgConnection, history: &History) -> Result<Vec<Look>> {
    let at = history.now();
    let sql = "SELECT projection, shard, next_offset FROM projection.checkpoints";
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(sql).fetch_all(database).await?;
    let look = |(projection, shard, next_offset)| {
        Ok(Look { at, projection, shard: u32::try_from(shard)?, next_offset })
    };
    rows.into_iter().map(look).collect()
}

/// Waits until no projection is behind, whatever befell it before.
async fn all_level(site: &Site, history: &History) -> Result<()> {
    wait_for("all projections to be level", LEVEL_WAIT_MAX, || async {
        let looked = async { look(&mut connect(site).await?, history).await };
        let looks = match looked.await {
            Ok(looks) => looks,
            Err(error) => return ControlFlow::Continue(format!("{error:#}")),
        };
        let acknowledged = history.record(|entries| Acknowledged::of(&entries.commands));
        match looks.iter().find(|look| acknowledged.lag(look) > LAG_MAX / 2) {
            None => ControlFlow::Break(Ok(())),
            Some(behind) => ControlFlow::Continue(format!("{behind:?}")),
        }
    })
    .await
}

/// Has what is parked of a projection tried again until nothing is, and tells how often that was.
async fn settle(site: &Site, projection: &str) -> Result<usize> {
    let url = site.service(PROJECTOR)?.url(&site.state);
    let letters = format!("{url}/v1/admin/dead-letters");
    let signed = |request: reqwest::RequestBuilder| {
        request.bearer_auth(&site.secrets.operator_key).timeout(ANSWER_WAIT_MAX)
    };
    let list = format!("{letters}?state=parked&projection={projection}&limit=200");
    let until = Instant::now() + SETTLED_WAIT_MAX;
    let mut count = 0;
    loop {
        let page = try_send(signed(plain_http::client().get(&list))).await?;
        ensure!(page.status == 200, "listing dead letters: {}", page.body);
        let items = page.body["items"].as_array().context("a page of dead letters")?;
        if items.is_empty() {
            return Ok(count);
        }
        ensure!(Instant::now() < until, "dead letters of {projection} are left: {}", items[0]);
        count += items.len();
        stream::iter(items)
            .map(|letter| {
                let url = format!("{letters}/{}/retry", letter["id"].as_str().unwrap_or_default());
                let request = plain_http::client().post(url).json(&json!({}));
                retry(signed(request), letter)
            })
            .buffer_unordered(SETTLED_AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
}

async fn retry(request: reqwest::RequestBuilder, letter: &Value) -> Result<()> {
    let answer = try_send(request).await?;
    ensure!(answer.status == 200, "retrying {letter}: {} {}", answer.status, answer.body);
    Ok(())
}

/// The tables of the only version of a projection.
async fn tables_of(database: &mut PgConnection, projection: &str) -> Result<Vec<String>> {
    let sql = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname LIKE $1 || '\\_v%' ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(sql).bind(projection).fetch_all(database).await?;
    ensure!(!tables.is_empty(), "{projection} has no tables");
    Ok(tables)
}

async fn run(database: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(database).await?;
    Ok(())
}

async fn connect(site: &Site) -> Result<PgConnection> {
    let (port, password) = (site.state.ports.postgres, &site.secrets.postgres_admin);
    let url = postgres::url(SUPERUSER, password, port, stack::state::DATABASE);
    PgConnection::connect(&url).await.context("the stack's database")
}
