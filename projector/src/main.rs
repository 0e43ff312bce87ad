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
    Service, Settings,
    cli::{self, Ask, Outcome, RebuildOptions},
    settings::{Asking, Looking},
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
    /// Look at events that a projection could not apply, and have them tried again
    #[command(subcommand)]
    DeadLetters(cli::dead_letters::Command),
    /// Build a new version of a projection beside the live one, and show how it goes
    Rebuild {
        name: String,
        /// Records of the log per second, such as 50000/s; as fast as it goes without it
        #[arg(long, value_name = "N/s", value_parser = per_second)]
        throttle: Option<i32>,
        /// Verify the new version when it has caught up
        #[arg(long)]
        verify: bool,
        /// Switch to it then, unless differences were found
        #[arg(long)]
        switch: bool,
        /// Read events as they stand in the log, without the edits and skips of dead letters so far
        #[arg(long)]
        forget_corrections: bool,
        /// Print a line of JSON a second
        #[arg(long)]
        json: bool,
    },
    /// Hold a build, or a version that stands by, where it is
    Pause(Which),
    /// Let it go on, also after a problem
    Resume(Which),
    /// Show readers the newest version of a projection
    Switch(Which),
    /// Show readers the version again that was live before
    Rollback {
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a version that is not live
    Drop(Which),
    /// Compare a version with an independent fold of the log
    Verify {
        #[command(flatten)]
        which: Which,
        /// Look at about so many keys, taken at random; at all without it
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        sample: Option<i32>,
    },
}

#[derive(clap::Args)]
struct Which {
    name: String,
    /// The number of the version, where there are several
    #[arg(long, value_name = "N")]
    version: Option<i32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
    let ended = match command {
        Some(Command::Run) => run(&config).await,
        Some(Command::Status { json }) => status(&config, json).await,
        Some(Command::DeadLetters(command)) => dead_letters(&config, command).await,
        Some(command) => ask(&config, command.into_ask()).await,
        None if config.check_config => run(&config).await,
        None => {
            eprintln!("{}", Cli::command().render_help());
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Different) => ExitCode::from(EXIT_DIFFERENT),
        Err(error) => {
            let is_usage = error.is::<Mistakes>();
            eprintln!("projector: {error:#}");
            ExitCode::from(if is_usage { config::EXIT_CODE } else { 1 })
        }
    }
}

async fn run(args: &config::Args) -> anyhow::Result<Outcome> {
    let config::Loaded { settings, effective, exposures } =
        args.load::<Settings>(LocalStack::Ignored)?;
    if args.check_config {
        cli::check_config(&effective);
        return Ok(Outcome::Done);
    }
    telemetry::init(&settings.log)?;
    exposures.tell();
    let shutdown = Shutdown::on_signals().context("listening to signals")?;
    Service::bind(settings, projector::Source::Kafka)?.run(shutdown).await?;
    Ok(Outcome::Done)
}

async fn status(args: &config::Args, json: bool) -> anyhow::Result<Outcome> {
    let config::Loaded { settings, effective, .. } = args.load::<Looking>(LocalStack::Reader)?;
    if args.check_config {
        cli::check_config(&effective);
        return Ok(Outcome::Done);
    }
    cli::status(&settings, json).await?;
    Ok(Outcome::Done)
}

async fn ask(args: &config::Args, ask: Option<Ask>) -> anyhow::Result<Outcome> {
    let config::Loaded { settings, effective, .. } = args.load::<Asking>(LocalStack::Reader)?;
    match ask {
        Some(ask) if !args.check_config => cli::ask(&settings, &ask).await,
        _ => {
            cli::check_config(&effective);
            Ok(Outcome::Done)
        }
    }
}

impl Command {
    /// What it asks of a projector; `None` if it works without one.
    fn into_ask(self) -> Option<Ask> {
        let act = |action, Which { name, version, json }| Ask::Act { name, action, version, json };
        Some(match self {
            Self::Run | Self::Status { .. } | Self::DeadLetters(_) => return None,
            Self::Rebuild { name, throttle, verify, switch, forget_corrections, json } => {
                let options = RebuildOptions { throttle, verify, switch, forget_corrections };
                Ask::Rebuild { name, options, json }
            }
            Self::Pause(which) => act("pause", which),
            Self::Resume(which) => act("resume", which),
            Self::Switch(which) => act("switch", which),
            Self::Rollback { name, json } => {
                Ask::Act { name, action: "rollback", version: None, json }
            }
            Self::Drop(which) => act("drop", which),
            Self::Verify { which: Which { name, version, json }, sample } => {
                Ask::Verify { name, version, sample, json }
            }
        })
    }
}

/// `50000/s`, or the number alone.
fn per_second(text: &str) -> Result<i32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate = number.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| "a number of records per second is meant, such as 50000/s".to_owned())
}

async fn dead_letters(
    args: &config::Args,
    command: cli::dead_letters::Command,
) -> anyhow::Result<Outcome> {
    let config::Loaded { settings, effective, .. } = args.load::<Asking>(LocalStack::Reader)?;
    if args.check_config {
        cli::check_config(&effective);
        return Ok(Outcome::Done);
    }
    cli::dead_letters::run(settings.client, command).await?;
    Ok(Outcome::Done)
}
