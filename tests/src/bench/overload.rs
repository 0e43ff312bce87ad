//! Many more clients than a node lets in at once, against as many as it can serve: what is accepted
//! per second, and how long that takes.
//!
//! Some clients come again after the time that they are told, some at once. The clients share the
//! machine with the node: each refusal costs both of them.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use reqwest::{StatusCode, header::RETRY_AFTER};
use tokio::time::{Instant, sleep_until};

use super::{
    figure::{Figure, per_second, percentile},
    http::Load,
    node::{self, Site},
};
use stack::folder::Folder;

/// What a node can serve.
const FEW: usize = 256;
/// Fewer than it may have connections, more than it lets in.
const MANY: usize = 8_000;
/// So many connections at once do not fit the kernel's queue: the clients come one after another.
const RAMP: Duration = Duration::from_secs(3);
/// Then they get used to each other before the clock starts.
const WARM_UP: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(10);

pub(super) async fn run(rounds: usize, folder: &Folder) -> Result<()> {
    node::alone(folder, async |site| measure(rounds, site).await).await
}

async fn measure(rounds: usize, site: &Site) -> Result<()> {
    // A round's connections end with it: those of two rounds are more than a process may have.
    let commands = || Load::new(&site.url(), site.operator_key());
    let (mut few, mut patient, mut pressing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        few.push(round(&commands()?, FEW, Manner::Patient).await?);
        patient.push(round(&commands()?, MANY, Manner::Patient).await?);
        pressing.push(round(&commands()?, MANY, Manner::Pressing).await?);
    }
    let rates = |rounds: &[Round]| rounds.iter().map(|round| round.per_second).collect::<Vec<_>>();
    let late = |rounds: &[Round]| rounds.iter().map(|round| round.p99_ms).collect::<Vec<_>>();
    for (name, many) in [("patient", &patient), ("pressing", &pressing)] {
        let figure = format!("overload_{name}_accepted_per_second");
        Figure::compared(&figure, &rates(many), &rates(&few), "1/s").print()?;
        let figure = format!("overload_{name}_p99");
        Figure::compared(&figure, &late(many), &late(&few), "ms").print()?;
        let refused: Vec<f64> = many.iter().map(|round| round.refused).collect();
        let unanswered: Vec<f64> = many.iter().map(|round| round.unanswered).collect();
        for (what, rates) in [("refused", refused), ("unanswered", unanswered)] {
            let figure = format!("overload_{name}_{what}_per_second");
            Figure::single(&figure, percentile(&rates, 50), "1/s").print()?;
        }
    }
    Ok(())
}

/// What a client does that is refused.
#[derive(Clone, Copy)]
enum Manner {
    /// Waits as long as it is told.
    Patient,
    /// Comes again at once.
    Pressing,
}

struct Round {
    /// Accepted.
    per_second: f64,
    /// Of what was accepted.
    p99_ms: f64,
    /// Per second, as are those that found no place in the kernel's queue of connections.
    refused: f64,
    unanswered: f64,
}

/// What became of the requests that were not accepted.
#[derive(Default)]
struct Others {
    refused: AtomicUsize,
    unanswered: AtomicUsize,
}

async fn round(load: &Load, clients: usize, manner: Manner) -> Result<Round> {
    let others = Others::default();
    let began = Instant::now();
    let clock = began + WARM_UP..began + WARM_UP + ROUND;
    let clients = (0..clients).map(async |client| {
        sleep_until(began + RAMP.mul_f64(share(client, clients)?)).await;
        accepted_of(load, client, manner, &clock, &others).await
    });
    let latencies = try_join_all(clients).await?.concat();
    Ok(Round {
        per_second: per_second(latencies.len(), ROUND)?,
        p99_ms: percentile(&latencies, 99),
        refused: per_second(others.refused.into_inner(), ROUND)?,
        unanswered: per_second(others.unanswered.into_inner(), ROUND)?,
    })
}

fn share(client: usize, clients: usize) -> Result<f64> {
    Ok(f64::from(u32::try_from(client)?) / f64::from(u32::try_from(clients)?))
}

/// Milliseconds of each of a client's requests that was accepted while the clock ran.
async fn accepted_of(
    load: &Load,
    client: usize,
    manner: Manner,
    clock: &Range<Instant>,
    others: &Others,
) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    let count = |counter: &AtomicUsize| {
        let counts = clock.contains(&Instant::now());
        counter.fetch_add(usize::from(counts), Ordering::Relaxed);
    };
    while Instant::now() < clock.end {
        let asked = Instant::now();
        let Ok(response) = load.post(client).await else {
            count(&others.unanswered);
            continue;
        };
        let (status, headers) = (response.status(), response.headers().clone());
        response.bytes().await.context("a body")?;
        if status.is_success() {
            let counts = clock.contains(&Instant::now());
            latencies.extend(counts.then(|| asked.elapsed().as_secs_f64() * 1e3));
            continue;
        }
        let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) = (status, after) else {
            bail!("{status} instead of a refusal with Retry-After");
        };
        count(&others.refused);
        if matches!(manner, Manner::Patient) {
            sleep_until(Instant::now() + Duration::from_secs(seconds)).await;
        }
    }
    Ok(latencies)
}
