//! How long after a command's acknowledgement a query shows what it did, at rates that grow.
//!
//! Goes through the running stack. Commands are sent when they are due, whatever became of those
//! before; of every few, the answer's position is asked for at once, so that queries do not dominate.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::{
    figure::{Figure, percentile},
    http::Load,
};
use crate::import::target::Target;

/// Commands per second that the aim is for.
const RATE: f64 = 1_000.0;
const AIM_MS: f64 = 10.0;
/// Shares of the top rate, where the answers begin to come late.
const SHARES: [(&str, f64); 3] = [("half", 0.5), ("three_quarters", 0.75), ("nine_tenths", 0.9)];
const SECONDS: f64 = 5.0;
/// Of so many commands one is asked for.
const SAMPLE: u32 = 20;
const POSITION: &str = "tradewind-position";

pub(super) async fn run(rounds: usize, target: &Target) -> Result<()> {
    let load = Load::new(&target.command_url, &target.operator_key)?;
    let reader = Reader { target, load: &load };
    let top = load.rate().await?;
    Figure::single("freshness_top_rate", top, "1/s").print()?;
    let shares = SHARES.map(|(name, share)| (format!("freshness_p99_at_{name}_rate"), share * top));
    let at_aim = ("freshness_p99_at_1000_per_second".to_owned(), RATE);
    for (figure, rate) in std::iter::once(at_aim).chain(shares) {
        let mut late = Vec::new();
        for _ in 0..rounds {
            late.push(percentile(&reader.late(rate).await?, 99));
        }
        Figure::aimed(&figure, percentile(&late, 50), AIM_MS, "ms", rounds).print()?;
    }
    Ok(())
}

struct Reader<'t> {
    target: &'t Target,
    load: &'t Load,
}

impl Reader<'_> {
    /// Milliseconds from the acknowledgement of each sampled command to the answer of its query.
    async fn late(&self, per_second: f64) -> Result<Vec<f64>> {
        let due_of = |index: u32| Duration::from_secs_f64(f64::from(index) / per_second);
        let began = Instant::now();
        let indices = (0..u32::MAX).take_while(|index| due_of(*index).as_secs_f64() < SECONDS);
        let requests: Vec<_> = indices
            .map(|index| async move {
                sleep_until(began + due_of(index)).await;
                self.see(index).await
            })
            .collect();
        let under_way = requests.len();
        let late: Vec<_> = stream::iter(requests).buffer_unordered(under_way).try_collect().await?;
        Ok(late.into_iter().flatten().collect())
    }

    async fn see(&self, index: u32) -> Result<Option<f64>> {
        let stream = usize::try_from(index)?;
        let answer = self.load.post(stream).await?;
        ensure!(answer.status().is_success(), "a command: {}", answer.status());
        let position = answer.headers().get(POSITION).context("a position")?.clone();
        answer.bytes().await?;
        if !index.is_multiple_of(SAMPLE) {
            return Ok(None);
        }
        let acknowledged = Instant::now();
        let request = self.load.look(&self.target.query_url, stream);
        let answer = request.header(POSITION, position).header("prefer", "wait=5").send().await?;
        // One that is not there in that time is as late as that.
        let (status, known) = (answer.status(), [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE]);
        ensure!(known.contains(&status), "a query: {status}");
        answer.bytes().await?;
        Ok(Some(acknowledged.elapsed().as_secs_f64() * 1e3))
    }
}
