//! What clients of the running stack get done while a read model is built beside the live one, against
//! what they get done without.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use reqwest::Response;
use tokio::time::Instant;

use super::{
    figure::{Figure, per_second},
    http::{Load, accepted},
    projector::Admin,
};
use crate::import::target::Target;

/// Each sends the next request when it has its answer.
const COMMANDERS: usize = 64;
const READERS: usize = 16;
const ROUND: Duration = Duration::from_secs(10);
/// What is built: it holds what the commands do.
const PROJECTION: &str = "stock";

pub(super) async fn run(rounds: usize, target: &Target, admin: &Admin) -> Result<()> {
    let load = Load::new(&target.command_url, &target.operator_key)?;
    // Streams are there before the clock starts.
    load.rate().await?;
    let clients = Clients { target, load };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(clients.work(Instant::now() + ROUND).await?);
        let until = Instant::now() + ROUND;
        let (done, builds) = tokio::try_join!(clients.work(until), build(admin, until))?;
        ensure!(builds > 0, "no build");
        beside.push(done);
    }
    let rates =
        |rounds: &[Done], rate: fn(&Done) -> f64| rounds.iter().map(rate).collect::<Vec<_>>();
    for (figure, rate) in [
        ("live_commands_per_second_during_rebuild", (|done| done.commands) as fn(&Done) -> f64),
        ("live_queries_per_second_during_rebuild", |done| done.queries),
    ] {
        Figure::compared(figure, &rates(&beside, rate), &rates(&alone, rate), "1/s").print()?;
    }
    Ok(())
}

/// One build after another; tells how many.
async fn build(admin: &Admin, until: Instant) -> Result<usize> {
    let mut builds = 0;
    while Instant::now() < until {
        admin.rebuild(PROJECTION).await?;
        builds += 1;
    }
    Ok(builds)
}

/// Per second.
struct Done {
    commands: f64,
    queries: f64,
}

struct Clients<'t> {
    target: &'t Target,
    load: Load,
}

impl Clients<'_> {
    async fn work(&self, until: Instant) -> Result<Done> {
        let began = Instant::now();
        let command = async |index| self.load.post(index).await;
        let query =
            async |index| anyhow::Ok(self.load.look(&self.target.query_url, index).send().await?);
        let commands = done(COMMANDERS, until, command);
        let (commands, queries) = tokio::try_join!(commands, done(READERS, until, query))?;
        let took = began.elapsed();
        Ok(Done { commands: per_second(commands, took)?, queries: per_second(queries, took)? })
    }
}

/// How many requests so many clients have an answer to, each with numbers of its own.
async fn done(
    clients: usize,
    until: Instant,
    ask: impl AsyncFn(usize) -> Result<Response>,
) -> Result<usize> {
    let client = async |client: usize| {
        let mut done = 0;
        while Instant::now() < until {
            accepted(ask(client + done * clients).await?).await?;
            done += 1;
        }
        anyhow::Ok(done)
    };
    Ok(try_join_all((0..clients).map(client)).await?.into_iter().sum())
}
