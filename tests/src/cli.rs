//! What `cargo stack` hands on: the import, the benchmarks and the campaigns.
//!
//! A program of its own, so that a stack is up before any of this is compiled. In the library, not in
//! the binary: what a binary awaits is compiled once more with it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stack::{console, folder::Folder};

use crate::{bench, faults, import, simulate};

#[derive(Parser)]
#[command(name = "cargo stack", bin_name = "cargo stack", version)]
enum Command {
    /// Post a year of a grocer's receipts and check what the read models say
    Import(import::Args),
    /// Measure what the system does per second
    Bench(bench::Args),
    /// Run seeded histories of the engine over a simulated log and check every promise
    Simulate(simulate::Args),
    /// Kill, stop and cut off parts of a stack of its own under load, and audit what came of it
    Faults(faults::Args),
}

/// Does what the command line says.
#[tokio::main]
pub async fn main() -> ExitCode {
    console::exit_code(run(Command::parse(), &Folder::of_workspace()).await)
}

async fn run(command: Command, folder: &Folder) -> Result<ExitCode> {
    match command {
        Command::Import(args) => import::run(&args, folder).await,
        Command::Bench(args) => bench::run(&args, folder).await,
        Command::Simulate(args) => simulate::run(&args),
        Command::Faults(args) => faults::run(&args).await,
    }
}
