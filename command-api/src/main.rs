//! The binary: arguments, settings, signals.
#![expect(clippy::print_stderr, reason = "a CLI talks to people")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command_api::{ReshardSettings, Service, Settings, reshard, steps};
use infra::{
    config::{Args, EXIT_CODE, Loaded, LocalStack, Mistakes},
    shutdown::Shutdown,
    telemetry,
};

/// Takes commands over HTTP and appends what they lead to to the event log.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Examples:
  command-api serve
  command-api serve --config command-api.toml
  TRADEWIND_HTTP__BIND=0.0.0.0:8080 command-api serve
  command-api steps list
  command-api reshard --to tradewind.events.2 --shards 16
  command-api --check-config"
)]
struct Cli {
    #[command(flatten)]
    args: Args,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Serve the command API until SIGTERM
    Serve,
    /// Look at steps of processes that failed for good, and have them tried again or skipped
    #[command(subcommand)]
    Steps(steps::Command),
    /// Copy the log into a topic with another number of shards, while no node runs
    Reshard(reshard::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Some(Subcommands::Steps(command)) => steps(&cli.args, command),
        Some(Subcommands::Reshard(options)) => reshard(&cli.args, options),
        Some(Subcommands::Serve) => serve(&cli.args),
        None if cli.args.check_config => serve(&cli.args),
        None => {
            eprintln!("say what to do: command-api serve (--help tells more)");
            return EXIT_CODE.into();
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<Mistakes>() {
            Ok(mistakes) => {
                eprintln!("{mistakes}");
                EXIT_CODE.into()
            }
            Err(error) => {
                // Before the settings are known nobody logs.
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn serve(args: &Args) -> anyhow::Result<()> {
    let Some(loaded) = args.load::<Settings>(LocalStack::Ignored)? else { return Ok(()) };
    let Loaded { settings, exposures, .. } = loaded;
    telemetry::init(&settings.log)?;
    exposures.tell();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        Service::bind(settings)?.run(shutdown).await.inspect_err(|error| {
            tracing::error!("{error:#}");
        })
    })
}

fn steps(args: &Args, command: steps::Command) -> anyhow::Result<()> {
    let Some(loaded) = args.load::<steps::ClientSettings>(LocalStack::Reader)? else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(steps::run(loaded.settings, command))
}

fn reshard(args: &Args, options: reshard::Options) -> anyhow::Result<()> {
    let Some(loaded) = args.load::<ReshardSettings>(LocalStack::Reader)? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(reshard::run(loaded.settings, options))
}
