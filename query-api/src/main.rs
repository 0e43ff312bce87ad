//! `query-api`: settings, wiring, signals.
#![expect(clippy::print_stdout, reason = "a CLI talks to people")]

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use infra::{
    config::{self, LocalStack},
    shutdown::Shutdown,
    telemetry,
};
use query_api::{Service, Settings};

const EXAMPLES: &str = "Examples:
  query-api serve --config /etc/tradewind/query-api.toml
  TRADEWIND_HTTP__BIND=0.0.0.0:8081 query-api serve
  query-api --check-config";

/// Serves Tradewind's read models over HTTP
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    args: config::Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT
    #[command(after_help = EXAMPLES)]
    Serve,
}

fn main() -> ExitCode {
    let Cli { args, command } = Cli::parse();
    if command.is_none() && !args.check_config {
        eprintln!("{}", Cli::command().render_help());
        return ExitCode::from(config::EXIT_CODE);
    }
    let loaded = match args.load::<Settings>(LocalStack::Ignored) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    if args.check_config {
        print!("{}", loaded.effective);
        return ExitCode::SUCCESS;
    }
    match serve(loaded.settings, loaded.exposures) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("query-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(settings: Settings, exposures: config::Exposures) -> anyhow::Result<()> {
    telemetry::init(&settings.log)?;
    exposures.tell();
    let shutdown = Shutdown::on_signals().context("installing signal handlers")?;
    let service = Service::bind(settings)?;
    Ok(service.run(shutdown).await?)
}
