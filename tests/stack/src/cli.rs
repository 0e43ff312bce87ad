//! `cargo stack`: the local stack from the command line. What else there is, it hands on to `campaign`.
//!
//! In the library, not in the binary: what a binary awaits is compiled once more with it.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::folder::Folder;
use crate::status::Status;
use crate::{cargo, console, dev_env, down, logs, up, welcome};
use anyhow::{Error, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo stack", bin_name = "cargo stack", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  cargo stack up --detach         start everything and return when it is ready
  cargo stack status --json       what runs and answers
  cargo stack logs projector -f   follow a log
  cargo stack import completejourney --baskets 2000
  cargo stack down                end everything, keep the data";

#[derive(Subcommand)]
enum Command {
    /// Start Kafka, PostgreSQL and the services, or what is missing of them
    Up(up::Args),
    /// End every part; the data stays
    Down,
    /// Tell what runs and answers; exit 0 only if every part does
    Status {
        /// One JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// End every part and remove all data
    Reset,
    /// Print a part's log
    Logs {
        /// Such as command-api, projector, query-api, kafka, postgres
        service: String,
        /// Go on as the log grows
        #[arg(short, long)]
        follow: bool,
    },
    /// Post a year of a grocer's receipts and check what the read models say
    #[command(disable_help_flag = true)]
    Import(HandedOn),
    /// Measure what the system does per second
    #[command(disable_help_flag = true)]
    Bench(HandedOn),
    /// Run seeded histories of the engine over a simulated log and check every promise
    #[command(disable_help_flag = true)]
    Simulate(HandedOn),
    /// Kill, stop and cut off parts of a stack of its own under load, and audit what came of it
    #[command(disable_help_flag = true)]
    Faults(HandedOn),
    /// Print what clients of the stack need, as lines of KEY=value
    Env,
}

#[derive(clap::Args)]
struct HandedOn {
    /// What the program `campaign` knows the meaning of: `--help` lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl HandedOn {
    async fn to(mut self, command: &str) -> Error {
        self.args.insert(0, command.into());
        cargo::become_campaign(&self.args).await
    }
}

/// Does what the command line says.
#[tokio::main]
pub async fn main() -> ExitCode {
    console::exit_code(run(Cli::parse().command, &Folder::of_workspace()).await)
}

async fn run(command: Command, folder: &Folder) -> Result<ExitCode> {
    match command {
        Command::Up(args) => bring_up(folder, &args).await?,
        Command::Down => down::down(folder).await?,
        Command::Status { json } => return status(folder, json).await,
        Command::Reset => down::reset(folder).await?,
        Command::Logs { service, follow } => logs::print(folder, &service, follow).await?,
        Command::Import(rest) => return Err(rest.to("import").await),
        Command::Bench(rest) => return Err(rest.to("bench").await),
        Command::Simulate(rest) => return Err(rest.to("simulate").await),
        Command::Faults(rest) => return Err(rest.to("faults").await),
        Command::Env => console::line(dev_env::read(folder)?.trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

/// In the foreground the stack lives as long as this process: Ctrl-C ends both, at any moment.
async fn bring_up(folder: &Folder, args: &up::Args) -> Result<()> {
    if args.detach {
        welcome::print(&up::up(folder, args).await?);
        return Ok(());
    }
    let attended = async {
        let state = up::up(folder, args).await?;
        welcome::print(&state);
        logs::follow_all(folder, &state.parts()).await
    };
    tokio::select! {
        ended = attended => ended,
        _ = tokio::signal::ctrl_c() => down::down(folder).await,
    }
}

async fn status(folder: &Folder, json: bool) -> Result<ExitCode> {
    let status = Status::of(folder).await?;
    let text = if json { serde_json::to_string(&status)? } else { status.table() };
    console::line(&text);
    Ok(if status.is_up() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
