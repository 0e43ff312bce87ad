//! `cargo stack faults`: a stack of its own under load, one fault after the other, and then an audit
//! of everything that clients saw.
//!
//! `site` is the stack with a proxy on every way that can be cut, `plan` draws faults from a seed and
//! `blows` does them (`projections` those of one projection), `load` runs clients that record what they see (`history`), and `verdict`
//! holds that against the log and the read models.

mod action;
mod blows;
mod client;
mod crowd;
mod disk;
mod history;
mod lag;
mod load;
mod pass;
mod plan;
mod projections;
mod shop;
mod site;
mod verdict;

use std::fs::{File, TryLockError};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::Rng;
use tokio::time::Instant;

use crowd::Crowd;
use history::{Entries, History};
use load::Load;
pub use plan::Target;
use plan::{Kind, Plan};
use site::Site;
use stack::console;
use stack::folder::Folder;
use stack::ports::Size;

const HISTORY: &str = "history.ndjson";
const PORT_BASE: u16 = 31_000;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo stack faults --minutes 2
  cargo stack faults --minutes 20 --brokers 3
  cargo stack faults --minutes 10 --target projector")]
pub struct Args {
    /// How long faults are made; starting and auditing come on top
    #[arg(long, value_name = "N", default_value_t = 2)]
    minutes: u64,
    /// Number of command-api nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Number of Kafka brokers, 1 or 3
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = stack::up::brokers)]
    brokers: u8,
    /// What is drawn at random follows from it [default: another each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    #[arg(long, value_enum, default_value_t)]
    target: Target,
    /// The first of the ports that the run uses
    #[arg(long, value_name = "PORT", default_value_t = PORT_BASE)]
    port_base: u16,
    /// Start the services as they were built last
    #[arg(long)]
    no_build: bool,
}

/// # Errors
/// When the stack does not start, a part does not come back, or the log cannot be read. What the
/// audit finds is no error: it is the exit code.
pub async fn run(args: &Args) -> Result<ExitCode> {
    let folder = Folder::of_faults();
    let _alone = alone(&folder)?;
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    console::step(&format!("seed {seed}"));
    let size = Size { nodes: args.nodes.into(), brokers: args.brokers.into() };
    let site = Site::open(size, args.port_base, args.no_build).await?;
    let ended = tokio::select! {
        ended = under_fire(args, seed, size, &site) => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    site.close().await;
    let is_sound =
        ended.with_context(|| format!("seed {seed}; see {}", folder.root().display()))?;
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the audit found nothing.
async fn under_fire(args: &Args, seed: u64, size: Size, site: &Site) -> Result<bool> {
    let history = Arc::new(History::new());
    let load = Load::prepare(site, Arc::clone(&history)).await?;
    let crowd = Crowd::enter(load, seed).await?;
    let until = Instant::now() + Duration::from_secs(60 * args.minutes);
    let mut struck = Ok(());
    let left_out: &[Kind] = if site.disks.is_empty() { &[Kind::StoreFull] } else { &[] };
    for blow in Plan::new(seed, size, args.target, left_out) {
        struck = blows::strike(site, &history, blow).await;
        if struck.is_err() || Instant::now() >= until {
            break;
        }
    }
    console::step("no more faults; waiting for what is under way");
    let left = crowd.leave().await;
    let entries = history.take();
    let kept = site.folder.path(HISTORY);
    entries.write(&kept)?;
    struck?;
    left?;
    let is_sound = audit(site, entries).await?;
    if !is_sound {
        console::step(&format!("seed {seed}; what happened is in {}", kept.display()));
    }
    Ok(is_sound)
}

async fn audit(site: &Site, mut entries: Entries) -> Result<bool> {
    if let Err(error) = site.come_to_rest().await {
        entries.complaints.push(format!("{error:#}"));
    }
    let verdict = verdict::reach(site, &entries).await?;
    verdict.print(&entries)?;
    Ok(verdict.violations.is_empty())
}

/// Of two runs, one would end the other's stack.
fn alone(folder: &Folder) -> Result<File> {
    folder.create()?;
    let file = File::create(folder.path("run.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another run is under way"),
        Err(TryLockError::Error(error)) => Err(error).context("locking run.lock"),
    }
}
