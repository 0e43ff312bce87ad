//! `cargo stack bench NAME`: what the system does per second, on this machine, now.
//!
//! Each benchmark prints one JSON line per figure. Where there is something to compare with, both
//! sides run in turn in the same process, and the ratio of their medians counts: a machine's speed
//! cancels out. What goes through HTTP uses the running stack, and starts it where none runs.

mod figure;
mod ingest;
mod memory;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::{
    import::target::TargetArgs,
    stack::{folder::Folder, status::Status, up},
};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  cargo stack bench ingest")]
pub struct Args {
    #[arg(value_enum)]
    name: Name,
    /// Baskets to import
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    baskets: u16,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// Import baskets that the stack does not hold yet, through HTTP
    Ingest,
}

/// # Errors
/// If something cannot be started or reached, or does not do its work.
pub async fn run(args: &Args, folder: &Folder) -> Result<ExitCode> {
    match args.name {
        Name::Ingest => {
            start_stack(folder).await?;
            ingest::run(usize::from(args.baskets), &args.target.target(folder)?, folder).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn start_stack(folder: &Folder) -> Result<()> {
    if Status::of(folder).await?.is_up() {
        return Ok(());
    }
    let args = up::Args { detach: true, nodes: 1, brokers: 1, port_base: None };
    up::up(folder, &args).await?;
    ensure!(Status::of(folder).await?.is_up(), "the stack did not start: `cargo stack status`");
    Ok(())
}
