//! What clients of the running stack get done while a read model is built beside the live one, against
//! what they get done without.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
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
        let commands = try_join_all((0..COMMANDERS).map(|client| self.command(client, until)));
        let queries = try_join_all((0..READERS).map(|client| self.query(client, until)));
        let (commands, queries) = tokio::try_join!(commands, queries)?;
        let took = began.elapsed();
        let rate = |counts: Vec<usize>| per_second(counts.into_iter().sum(), took);
        Ok(Done { commands: rate(commands)?, queries: rate(queries)? })
    }

    async fn command(&self, client: usize, until: Instant) -> Result<usize> {
        let mut done = 0;
        while Instant::now() < until {
            accepted(self.load.post(client + done * COMMANDERS).await?).await?;
            done += 1;
        }
        Ok(done)
    }

    async fn query(&self, client: usize, until: Instant) -> Result<usize> {
        let mut done = 0;
        while Instant::now() < until {
            let looked = self.load.look(&self.target.query_url, client + done * READERS);
            accepted(looked.send().await?).await?;
            done += 1;
        }
        Ok(done)
    }
}
