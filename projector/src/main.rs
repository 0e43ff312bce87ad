//! The projector's command line.

use std::{io::stdout, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use infra::{
    config::{self, LocalStack, Mistakes},
    shutdown::Shutdown,
    telemetry,
};
use projector::{
    Service, Settings,
    cli::{self, AdminCommand, Outcome},
    settings::{ClientSettings, StatusSettings},
};

/// A verification found differences.
const EXIT_DIFFERENT: u8 = 3;

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
    /// Show the versions of each projection, and how far they are in each shard
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Ask(AdminCommand),
}

const EXAMPLES: &str = "\
Examples:
  projector run --config /etc/tradewind.toml
  projector run --check-config
  projector status --json
  projector rebuild orders --verify --switch
  projector rebuild orders --throttle 50000/s
  projector rollback orders
  projector verify orders --sample 1000
  projector dead-letters list --state parked

Settings come from --config and from the environment (TRADEWIND_<SECTION>__<KEY>, such as
TRADEWIND_POSTGRES__URL). Commands that ask a running projector take TRADEWIND_PROJECTOR_URL and
TRADEWIND_OPERATOR_KEY; they and `status` find a local stack in its folder by themselves.
What was asked for goes on in the projector when the command is stopped.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 a verification found differences.";

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { config, command } = Cli::parse();
    let Some(command) = command.or(config.check_config.then_some(Command::Run)) else {
        eprintln!("{}", Cli::command().render_help());
        return ExitCode::from(config::EXIT_CODE);
    };
    match carry_out(&config, command).await {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Different) => ExitCode::from(EXIT_DIFFERENT),
        Err(error) => {
            let is_usage = error.is::<Mistakes>();
            eprintln!("projector: {error:#}");
            ExitCode::from(if is_usage { config::EXIT_CODE } else { 1 })
        }
    }
}

async fn carry_out(args: &config::Args, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Run => {
            if let Some(loaded) = args.load::<Settings>(LocalStack::Ignored)? {
                telemetry::init(&loaded.settings.log)?;
                loaded.exposures.tell();
                let shutdown = Shutdown::on_signals().context("listening to signals")?;
                Service::bind(loaded.settings, projector::Source::Kafka)?.run(shutdown).await?;
            }
        }
        Command::Status { json } => {
            if let Some(loaded) = args.load::<StatusSettings>(LocalStack::Reader)? {
                cli::status(&loaded.settings, json, &mut stdout()).await?;
            }
        }
        Command::Ask(command) => {
            if let Some(loaded) = args.load::<ClientSettings>(LocalStack::Reader)? {
                return cli::ask(&loaded.settings, &command, &mut stdout()).await;
            }
        }
    }
    Ok(Outcome::Done)
}
