//! How long after a command's acknowledgement a query shows what it did, at rates that grow.
//!
//! Goes through the running stack. Commands are sent when they are due; of every few, the answer's position
//! is asked for at once, so that queries do not dominate. Beside some of these queries goes another one for
//! the same row, which has no position to wait for. Both do the same otherwise, so what the first takes
//! longer it waited for the projector and its word to the query node; what the second takes is the query's
//! own time, be it work or waiting for a processor.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{StatusCode, header::HeaderValue};
use tokio::time::{Instant, sleep_until};

use super::{
    figure::{Figure, percentile},
    http::{Load, accepted},
    level::level,
    pace::{Schedule, Sent, milliseconds},
};
use crate::import::target::Target;

/// Commands per second that the aim is for.
const RATE: f64 = 1_000.0;
const AIM_MS: f64 = 10.0;
/// Shares of the top rate, where the answers begin to come late, and what they may take.
const SHARES: [(&str, f64, Option<f64>); 3] =
    [("half", 0.5, Some(25.0)), ("three_quarters", 0.75, None), ("nine_tenths", 0.9, None)];
const ROUND: Duration = Duration::from_secs(10);
/// Of each rate, in all rounds: the p99 has so many hundredths of them beyond it.
const SAMPLES: f64 = 5_000.0;
/// One of so many samples has a query beside it that need not wait.
const PAIRS: u32 = 4;
const SEEN_WAIT_MAX: Duration = Duration::from_secs(5);
/// Between two queries of which the first was refused.
const PAUSE: Duration = Duration::from_millis(2);
const POSITION: &str = "tradewind-position";

pub(super) async fn run(rounds: usize, target: &Target) -> Result<()> {
    let load = Load::new(&target.command_url, &target.operator_key)?;
    let reader = Reader { target, load: &load };
    load.warm_up().await?;
    let top = load.rate().await?;
    Figure::single("freshness_top_rate", top, "1/s").print()?;
    let at_aim = ("1000_per_second".to_owned(), RATE, Some(AIM_MS));
    let shares = SHARES.map(|(name, share, aim)| (format!("{name}_rate"), share * top, aim));
    for (at, rate, aim) in std::iter::once(at_aim).chain(shares) {
        let every = every(rate, rounds)?;
        let mut sent = Vec::new();
        for _ in 0..rounds {
            level(target).await?;
            sent.extend(reader.round(rate, every).await?);
        }
        print(&at, aim, &sent, rounds)?;
    }
    Ok(())
}

/// Of so many commands one is asked for: enough of them, and no more.
fn every(rate: f64, rounds: usize) -> Result<u32> {
    let rounds = u32::try_from(rounds)?;
    let enough = |every: &u32| rate * (ROUND * rounds).as_secs_f64() / f64::from(*every) >= SAMPLES;
    Ok((2..).take_while(enough).last().unwrap_or(1))
}

fn print(at: &str, aim: Option<f64>, sent: &[Sent<Option<Seen>>], rounds: usize) -> Result<()> {
    let seen = || sent.iter().filter_map(|sent| sent.answer.as_ref());
    let shown: Vec<f64> = seen().map(|seen| seen.shown).collect();
    let pairs = || seen().filter_map(|seen| Some((seen.shown, seen.beside?)));
    let beside: Vec<f64> = pairs().map(|(_, beside)| beside).collect();
    let waited: Vec<f64> = pairs().map(|(shown, beside)| shown - beside).collect();
    let late: Vec<f64> = sent.iter().map(Sent::late).collect();
    for (what, percent, values, aim) in [
        ("p50", 50, &shown, None),
        ("p99", 99, &shown, aim),
        ("waiting_p50", 50, &waited, None),
        ("waiting_p99", 99, &waited, None),
        ("query_alone_p50", 50, &beside, None),
        ("query_alone_p99", 99, &beside, None),
        ("load_late_p99", 99, &late, None),
    ] {
        let (figure, value) = (format!("freshness_{what}_at_{at}"), percentile(values, percent));
        Figure::aimed(&figure, value, aim, "ms", rounds).print()?;
    }
    let samples = f64::from(u32::try_from(shown.len())?);
    Figure::counted(&format!("freshness_samples_at_{at}"), samples, rounds).print()
}

struct Reader<'t> {
    target: &'t Target,
    load: &'t Load,
}

/// Milliseconds from a command's acknowledgement to answers of queries.
struct Seen {
    /// Of the one that shows it.
    shown: f64,
    /// Of the one that shows what there is.
    beside: Option<f64>,
}

impl Reader<'_> {
    async fn round(&self, rate: f64, every: u32) -> Result<Vec<Sent<Option<Seen>>>> {
        let schedule = Schedule::new(rate, ROUND);
        schedule.keep(async |index, _| self.command(index, every).await).await
    }

    async fn command(&self, index: u32, every: u32) -> Result<Option<Seen>> {
        let stream = usize::try_from(index)?;
        let answer = self.load.post(stream).await?;
        ensure!(answer.status().is_success(), "a command: {}", answer.status());
        let position = answer.headers().get(POSITION).context("a position")?.clone();
        answer.bytes().await?;
        if !index.is_multiple_of(every) {
            return Ok(None);
        }
        let has_pair = (index / every).is_multiple_of(PAIRS);
        let beside = async { if has_pair { self.look(stream).await.map(Some) } else { Ok(None) } };
        let (shown, beside) = tokio::try_join!(self.see(stream, position), beside)?;
        Ok(Some(Seen { shown, beside }))
    }

    /// A key has only so many places to wait in; a query that finds none asks again. One whose position
    /// is not there in time is as late as that.
    async fn see(&self, stream: usize, position: HeaderValue) -> Result<f64> {
        let acknowledged = Instant::now();
        loop {
            let request = self.load.look(&self.target.query_url, stream);
            let request = request.header(POSITION, &position).header("prefer", "wait=5");
            let answer = request.send().await?;
            let status = answer.status();
            let known = [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE];
            ensure!(known.contains(&status), "a query: {status}");
            answer.bytes().await?;
            if status == StatusCode::OK || acknowledged.elapsed() >= SEEN_WAIT_MAX {
                return Ok(milliseconds(acknowledged.elapsed()));
            }
            sleep_until(Instant::now() + PAUSE).await;
        }
    }

    async fn look(&self, stream: usize) -> Result<f64> {
        let asked = Instant::now();
        accepted(self.load.look(&self.target.query_url, stream).send().await?).await?;
        Ok(milliseconds(asked.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::every;

    #[track_caller]
    fn check(rate: f64, rounds: usize, expected: u32) {
        assert_eq!(every(rate, rounds).expect("a few rounds"), expected);
    }

    #[test]
    fn enough_samples_are_taken_and_no_more() {
        check(1_000.0, 3, 6);
        check(1_000.0, 1, 2);
        check(400.0, 1, 1);
        check(3_600.0, 3, 21);
    }
}
