//! The projector's command line.

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use infra::{
    config::{self, LocalStack, Mistakes},
    shutdown::Shutdown,
    telemetry,
};
use projector::{
    Service, Settings, cli,
    settings::{Asking, Looking},
};

/// Folds Tradewind's events exactly once into PostgreSQL read models.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    config: config::Args,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run all projections until told to stop
    Run,
    /// Show how far each projection is in each shard
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at events that a projection could not apply, and have them tried again
    #[command(subcommand)]
    DeadLetters(cli::dead_letters::Command),
}

const EXAMPLES: &str = "\
Examples:
  projector run --config /etc/tradewind.toml
  projector run --check-config
  projector status
  projector status --json
  projector dead-letters list --state parked

Settings come from --config and from the environment (TRADEWIND_<SECTION>__<KEY>, such as
TRADEWIND_POSTGRES__URL); commands other than `run` find a local stack in its folder by themselves.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings.";

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { config, command } = Cli::parse();
    let ended = match command {
        Some(Command::Run) => run(&config).await,
        Some(Command::Status { json }) => status(&config, json).await,
        Some(Command::DeadLetters(command)) => dead_letters(&config, command).await,
        None if config.check_config => run(&config).await,
        None => {
            eprintln!("{}", Cli::command().render_help());
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_usage = error.is::<Mistakes>();
            eprintln!("projector: {error:#}");
            ExitCode::from(if is_usage { config::EXIT_CODE } else { 1 })
        }
    }
}

async fn run(args: &config::Args) -> anyhow::Result<()> {
    let config::Loaded { settings, effective } = args.load::<Settings>(LocalStack::Ignored)?;
    if args.check_config {
        cli::check_config(&effective);
        return Ok(());
    }
    telemetry::init(&settings.log)?;
    let shutdown = Shutdown::on_signals().context("listening to signals")?;
    Service::bind(settings, projector::Source::Kafka)?.run(shutdown).await?;
    Ok(())
}

async fn status(args: &config::Args, json: bool) -> anyhow::Result<()> {
    let config::Loaded { settings, effective } = args.load::<Looking>(LocalStack::Reader)?;
    if args.check_config {
        cli::check_config(&effective);
        return Ok(());
    }
    cli::status(&settings, json).await
}

async fn dead_letters(
    args: &config::Args,
    command: cli::dead_letters::Command,
) -> anyhow::Result<()> {
    let config::Loaded { settings, effective } = args.load::<Asking>(LocalStack::Reader)?;
    if args.check_config {
        cli::check_config(&effective);
        return Ok(());
    }
    cli::dead_letters::run(settings.client, command).await
}
