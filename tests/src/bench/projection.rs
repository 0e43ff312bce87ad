//! How fast a projector takes a log of sales: into a live read model, and into one that it makes anew.
//!
//! A live one is held against `COPY` of as many rows, one for each of its events, into a table with the
//! same indexes. The database is a fresh one in each round, and only one projection is fed, so that its
//! events alone are written.
//!
//! Beside a new one stands how fast bare clients of Kafka read the same log, two at once as a rebuild
//! does, which is what no reader can exceed. It is ordered through the operators' API, and measured
//! until the version stands by. Only what is built is fed, too, so that a long log is taken in by the
//! live versions soon.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::{
    figure::{Figure, per_second, percentile},
    logs::{EVENTS, Sales},
    projector::Site,
};
use stack::folder::Folder;

/// The last one only inserts.
const LIVE: [&str; 3] = ["orders", "stock", "products"];
/// Orders are documents with a timeline; stock is a row of numbers. Each with its aim, per second.
const REBUILT: [(&str, f64); 2] = [("orders", 300_000.0), ("stock", 1_000_000.0)];

pub(super) async fn run(rounds: usize, folder: &Folder, events: u32) -> Result<()> {
    // Four of five events are of sales.
    let products = u64::from(events) / 5;
    let sales = Sales { sales: (u64::from(events) - products) / EVENTS, products };
    Site::with(folder, async |site| measure(rounds, site, sales).await).await
}

async fn measure(rounds: usize, site: &Site, sales: Sales) -> Result<()> {
    sales.append(&site.log().await?).await?;
    for name in LIVE {
        let (mut folded, mut copied) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            site.empty().await?;
            let mut database = PgConnection::connect(site.database_url()).await?;
            site.feed_only(&[name]).await?;
            let (projector, admin) = site.start().await?;
            admin.applied(&[name]).await?;
            projector.stop().await?;
            let (events, seconds) = fed(&mut database, name).await?;
            folded.push(per_second(events, Duration::from_secs_f64(seconds))?);
            copied.push(copy(&mut database, name, events).await?);
            database.close().await?;
        }
        let figure = format!("projection_{name}_rows_per_second");
        Figure::compared(&figure, &folded, &copied, "1/s").print()?;
    }
    Ok(())
}

/// As well as how much memory the projector takes for it.
pub(super) async fn rebuild(rounds: usize, folder: &Folder, events: u32) -> Result<()> {
    let sales = u64::from(events) / EVENTS;
    let sales = Sales { sales, products: 0 };
    Site::with(folder, async |site| measure_rebuild(rounds, site, sales).await).await
}

async fn measure_rebuild(rounds: usize, site: &Site, sales: Sales) -> Result<()> {
    let events = usize::try_from(sales.append(&site.log().await?).await?)?;
    let names = REBUILT.map(|(name, _)| name);
    site.feed_only(&names).await?;
    let (projector, admin) = site.start().await?;
    admin.applied(&names).await?;
    let live = projector.memory()?;
    for (name, aim) in REBUILT {
        let (mut rates, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(per_second(events, site.read_bare().await?)?);
            rates.push(per_second(events, admin.rebuild(name).await?)?);
        }
        let figure = format!("rebuild_{name}_of_bare_readers");
        Figure::compared(&figure, &rates, &bare, "1/s").print()?;
        let figure = format!("rebuild_{name}_events_per_second");
        Figure::aimed(&figure, percentile(&rates, 50), aim, "1/s", rounds).print()?;
    }
    let peak = projector.memory()?;
    projector.stop().await?;
    Figure::single("projector_memory_peak_live", live.peak_mb, "MB").print()?;
    Figure::single("projector_memory_peak_of_rebuilds", peak.peak_mb, "MB").print()
}

/// Events in the rows of a read model, and the seconds from its making to its last batch.
async fn fed(database: &mut PgConnection, name: &str) -> Result<(usize, f64)> {
    let events = format!("SELECT sum(revision)::bigint FROM {name}_v1.{name}");
    let events: i64 = sqlx::query_scalar(AssertSqlSafe(events)).fetch_one(&mut *database).await?;
    let seconds: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM max(at.applied_at) - max(made.created_at))::double precision
         FROM projection.checkpoints AS at JOIN projection.versions AS made
             USING (projection, version)
         WHERE projection = $1",
    )
    .bind(name)
    .fetch_one(database)
    .await?;
    Ok((usize::try_from(events)?, seconds))
}

/// Rows per second of a `COPY` into a table like that of the read model.
async fn copy(database: &mut PgConnection, name: &str, rows: usize) -> Result<f64> {
    let table = format!("{name}_v1.{name}");
    let make =
        format!("CREATE SCHEMA bench; CREATE TABLE bench.copied (LIKE {table} INCLUDING ALL)");
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *database).await?;
    let columns = columns(database, &table).await?;
    let select = format!(
        "COPY (SELECT {columns} FROM generate_series(1, {rows}) AS n, {table} AS row LIMIT {rows})
         TO STDOUT (FORMAT binary)"
    );
    let data: Vec<Bytes> = database.copy_out_raw(&select).await?.try_collect().await?;
    let began = Instant::now();
    let mut writing = database.copy_in_raw("COPY bench.copied FROM STDIN (FORMAT binary)").await?;
    for piece in data {
        writing.send(piece).await?;
    }
    let written = writing.finish().await?;
    let took = began.elapsed();
    ensure!(usize::try_from(written)? == rows, "{written} of {rows} rows were copied");
    per_second(rows, took)
}

/// The columns of a table; what is unique in it made anew with each `n`.
async fn columns(database: &mut PgConnection, table: &str) -> Result<String> {
    let columns: Option<String> = sqlx::query_scalar(
        "SELECT string_agg(CASE
                WHEN NOT is_unique THEN format('row.%I', name)
                WHEN type = 'uuid'::regtype THEN 'gen_random_uuid()'
                ELSE format('row.%I || ''/'' || n', name) END, ', ' ORDER BY place)
         FROM (
            SELECT attname AS name, atttypid AS type, attnum AS place, EXISTS (
                SELECT FROM pg_index WHERE indrelid = attrelid AND indisunique
                    AND attnum = ANY (indkey)) AS is_unique
            FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
         ) AS columns",
    )
    .bind(table)
    .fetch_one(database)
    .await?;
    columns.context("a table with columns")
}
