//! Commands through HTTP, all the way into the read models: an import of baskets that the stack
//! does not hold yet, so that every command does its work.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use tokio::time::Instant;

use super::{
    figure::{Figure, per_second},
    process::Memory,
    topic::Topic,
};
use crate::import::{
    self, Import,
    queries::{Days, Queries},
    target::{Target, variable},
};
use stack::{broker, dev_env, folder::Folder, status::Status};

pub(super) async fn run(baskets: usize, target: &Target, folder: &Folder) -> Result<()> {
    let env = dev_env::read(folder)?;
    let (servers, topic) =
        (variable(&env, "KAFKA_BOOTSTRAP_SERVERS")?, variable(&env, "TRADEWIND_TOPIC")?);
    let import = new_baskets(baskets, target).await?;

    let starts = Topic::with(&servers, &topic, Topic::ends).await?;
    let bytes_before = bytes_on_disk(folder, &topic)?;
    let began = Instant::now();
    import.post().await?;
    let posting = began.elapsed();
    let places = import.queries.positions().await?;
    let began = Instant::now();
    let found = import.settle().await?;
    let settling = began.elapsed();
    let report = import.reconcile(&found).await?;
    ensure!(report.is_reconciled(), "the read models differ:\n{}", report.text());

    let events = Topic::with(&servers, &topic, move |topic| {
        let mut count = 0;
        topic.events(&starts, &topic.ends()?, |_| count += 1)?;
        Ok(count)
    })
    .await?;
    if let (Some(before), Some(after)) = (bytes_before, bytes_on_disk(folder, &topic)?) {
        let bytes = f64::from(u32::try_from(after - before)?);
        let per_event = bytes / f64::from(u32::try_from(events)?);
        Figure::single("log_bytes_per_event", per_event, "B").print()?;
    }
    let tally = import.gateway.tally();
    let latency = |quantile| {
        let micros = tally.latency.value_at_quantile(quantile);
        Duration::from_micros(micros).as_secs_f64() * 1e3
    };
    let lag_seconds = places.iter().map(|place| place.lag_seconds).fold(0.0, f64::max);
    let sent = usize::try_from(tally.sent)?;
    for figure in [
        Figure::single("commands_per_second", per_second(sent, posting)?, "1/s"),
        Figure::single("events_per_second", per_second(events, posting + settling)?, "1/s"),
        Figure::single("command_latency_p50", latency(0.5), "ms"),
        Figure::single("command_latency_p99", latency(0.99), "ms"),
        Figure::single("projection_lag_at_last_answer", lag_seconds, "s"),
        Figure::single("settled_after_last_answer", settling.as_secs_f64(), "s"),
    ] {
        figure.print()?;
    }
    print_memory(folder).await
}

/// An import of baskets and products that the stack does not hold yet.
async fn new_baskets(count: usize, target: &Target) -> Result<Import> {
    let queries = Queries::new(target)?;
    let start = baskets_held(&queries).await?;
    let mut input = import::read(start..start + count).await?;
    let is_left = !input.expectation.orders.is_empty();
    ensure!(is_left, "the stack holds the whole data set: `cargo stack reset`");
    let held = queries.skus().await?;
    input.new_products.retain(|(product, _)| !held.contains(&product.to_string()));
    Import::new(input, None, target, true)
}

/// Orders of earlier imports: the baskets after them are new to this stack. A few that became no
/// order may come twice, and are answered like any repetition.
async fn baskets_held(queries: &Queries) -> Result<usize> {
    let day = |year, month| NaiveDate::from_ymd_opt(year, month, 1).context("a date");
    let days = Days { first: day(2017, 1)?, last: day(2018, 1)? };
    Ok(usize::try_from(queries.sold(days).await?)?)
}

/// What the topic takes with the stack's first broker, which has a copy of all of it; nothing is known of
/// servers that were there before the stack.
fn bytes_on_disk(folder: &Folder, topic: &str) -> Result<Option<u64>> {
    let data = folder.data(&broker(1));
    if !data.exists() {
        return Ok(None);
    }
    let of_topic = format!("{topic}-");
    let mut bytes = 0;
    for partition in fs::read_dir(data)? {
        let partition = partition?;
        if partition.file_name().to_string_lossy().starts_with(&of_topic) {
            for segment in fs::read_dir(partition.path())? {
                let segment = segment?;
                if segment.path().extension().is_some_and(|it| it == "log") {
                    bytes += segment.metadata()?.len();
                }
            }
        }
    }
    Ok(Some(bytes))
}

async fn print_memory(folder: &Folder) -> Result<()> {
    for part in Status::of(folder).await?.parts {
        let Some(pid) = part.pid else { continue };
        let memory = Memory::of(pid)?;
        let (name, peak) = (format!("memory_{}", part.name), format!("memory_peak_{}", part.name));
        Figure::single(&name, memory.resident_mb, "MB").print()?;
        Figure::single(&peak, memory.peak_mb, "MB").print()?;
    }
    Ok(())
}
