//! `cargo stack bench NAME`: what the system does per second, on this machine, now.
//!
//! Each benchmark prints one JSON line per figure. Where there is something to compare with, both
//! sides run in turn in the same process, and the ratio of their medians counts: a machine's speed
//! cancels out. What goes through HTTP uses the running stack, and starts it where none runs.

mod baseline;
mod cost;
mod engine;
mod failover;
mod figure;
mod freshness;
mod hanging;
mod http;
mod ingest;
mod level;
mod live;
mod logs;
mod memory;
mod node;
mod overload;
mod pace;
mod process;
mod projection;
mod projector;
mod replay;
mod restart;
mod topic;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use logs::History;
use projector::Admin;

use crate::import::target::{TargetArgs, variable};
use stack::{dev_env, folder::Folder, status::Status, up};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  cargo stack bench ingest")]
pub struct Args {
    #[arg(value_enum)]
    name: Name,
    /// Of `ingest`: baskets to import
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    baskets: u16,
    /// Of `failover`: how often a node is killed
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    kills: u16,
    /// Of the others: how often each side runs, or all nodes are restarted
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Of `restart` and `memory`: aggregates in the log [default: 100000 and 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    aggregates: Option<u32>,
    /// Of `restart`: events of the shard, at least one of each aggregate; of `projection`,
    /// `rebuild` and `replay`: of the log
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// Processor time, transactions and requests that a command costs the stack, at rates that grow
    Cost,
    /// Commits of one event through the engine, against a bare producer
    Engine,
    /// Kill and restart nodes of a stack with three of them, while clients send commands
    Failover,
    /// From a command's acknowledgement to the query that shows it, at rates that grow
    Freshness,
    /// Orders of guests while 300 payments hang at the provider, against orders without
    Hanging,
    /// Commands over HTTP to a node of its own, after half a minute of them, against a server that sends
    /// bodies back
    Http,
    /// Import baskets that the stack does not hold yet, all the way into the read models
    Ingest,
    /// What clients get done while a read model is built, against what they get done without
    Live,
    /// What a node takes with more aggregates than its cache may hold, and a command on a cold one
    Memory,
    /// Many more clients than a node lets in at once, against as many as it can serve
    Overload,
    /// Feed live read models from a full log, against COPY of as many rows
    Projection,
    /// Build read models anew from a log of sales
    Rebuild,
    /// Replay a log of sales to one client, against a bare client that copies its records
    Replay,
    /// Start a shard from its checkpoint and from nothing
    Restart,
}

/// # Errors
/// If something cannot be started or reached, or does not do its work.
pub async fn run(args: &Args, folder: &Folder) -> Result<ExitCode> {
    start_stack(folder).await?;
    let rounds = usize::from(args.rounds);
    match args.name {
        Name::Engine => {
            let servers = variable(&dev_env::read(folder)?, "KAFKA_BOOTSTRAP_SERVERS")?;
            engine::run(rounds, &servers).await?;
        }
        Name::Restart => {
            let servers = variable(&dev_env::read(folder)?, "KAFKA_BOOTSTRAP_SERVERS")?;
            let (aggregates, events) = (args.aggregates.unwrap_or(100_000), args.events);
            ensure!(events >= aggregates, "--events {events}: at least one of each aggregate");
            restart::run(rounds, &servers, History { aggregates, events }).await?;
        }
        Name::Projection => projection::run(rounds, folder, args.events).await?,
        Name::Live => {
            let target = args.target.target(folder)?;
            let url = variable(&dev_env::read(folder)?, "TRADEWIND_PROJECTOR_URL")?;
            live::run(rounds, &target, &Admin::new(&url, &target.operator_key)?).await?;
        }
        Name::Rebuild => projection::rebuild(rounds, folder, args.events).await?,
        Name::Replay => replay::run(rounds, folder, args.events).await?,
        Name::Memory => {
            memory::run(rounds, folder, args.aggregates.unwrap_or(1_000_000)).await?;
        }
        Name::Cost => cost::run(rounds, folder, &args.target.target(folder)?).await?,
        Name::Freshness => freshness::run(rounds, &args.target.target(folder)?).await?,
        Name::Hanging => hanging::run(rounds, &args.target.target(folder)?).await?,
        Name::Failover => failover::run(rounds, args.kills.into(), folder).await?,
        Name::Http => http::run(rounds, folder).await?,
        Name::Overload => overload::run(rounds, folder).await?,
        Name::Ingest => {
            let baskets = usize::from(args.baskets);
            ingest::run(baskets, &args.target.target(folder)?, folder).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn start_stack(folder: &Folder) -> Result<()> {
    if Status::of(folder).await?.is_up() {
        return Ok(());
    }
    let args = up::Args::default();
    up::up(folder, &args).await?;
    ensure!(Status::of(folder).await?.is_up(), "the stack did not start: `cargo stack status`");
    Ok(())
}
