//! Commands through HTTP, all the way into the read models: an import of baskets that the stack
//! does not hold yet, so that every command does its work.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use tokio::time::Instant;

use super::{figure::Figure, memory::Memory};
use crate::{
    import::{
        self, Import,
        queries::{Days, Place, Queries},
        target::Target,
    },
    stack::{folder::Folder, status::Status},
};

pub(super) async fn run(baskets: usize, target: &Target, folder: &Folder) -> Result<()> {
    let start = baskets_held(&Queries::new(target)?).await?;
    let input = import::read(start..start + baskets).await?;
    let is_left = !input.expectation.orders.is_empty();
    ensure!(is_left, "the stack holds the whole data set: `cargo stack reset`");
    let import = Import::new(input, None, target, true)?;

    let before = records(&import.queries.positions().await?);
    let began = Instant::now();
    import.post().await?;
    let posting = began.elapsed();
    let places = import.queries.positions().await?;
    let found = import.settle().await?;
    let everything = began.elapsed();
    let written = records(&import.queries.positions().await?) - before;

    let report = import.reconcile(&found).await?;
    ensure!(report.is_reconciled(), "the read models differ:\n{}", report.text());
    let tally = import.gateway.tally();
    let latency = |quantile| {
        let micros = tally.latency.value_at_quantile(quantile);
        Duration::from_micros(micros).as_secs_f64() * 1e3
    };
    let lag_seconds = places.iter().map(|place| place.lag_seconds).fold(0.0, f64::max);
    for figure in [
        Figure::single("commands_per_second", per_second(tally.sent, posting)?, "1/s"),
        Figure::single("records_per_second", per_second(written, everything)?, "1/s"),
        Figure::single("command_latency_p50", latency(0.5), "ms"),
        Figure::single("command_latency_p99", latency(0.99), "ms"),
        Figure::single("projection_lag_at_last_answer", lag_seconds, "s"),
        Figure::single("settled_after_last_answer", (everything - posting).as_secs_f64(), "s"),
    ] {
        figure.print()?;
    }
    print_memory(folder).await
}

/// Orders of earlier imports: the baskets after them are new to this stack. A few that became no
/// order may come twice, and are answered like any repetition.
async fn baskets_held(queries: &Queries) -> Result<usize> {
    let day = |year, month| NaiveDate::from_ymd_opt(year, month, 1).context("a date");
    let days = Days { first: day(2017, 1)?, last: day(2018, 1)? };
    Ok(usize::try_from(queries.sold(days).await?)?)
}

/// Records of the log so far, of all shards.
fn records(places: &[Place]) -> u64 {
    let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
    for place in places {
        let end = ends.entry(place.shard).or_default();
        *end = place.next_offset.max(*end);
    }
    ends.values().sum()
}

fn per_second(count: u64, time: Duration) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?) / time.as_secs_f64())
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
