//! The binary: arguments, settings, signals.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a CLI talks to people")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command_api::{Service, Settings};
use infra::{
    config::{Args, EXIT_CODE, Exposures, Loaded, LocalStack},
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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let loaded = match cli.args.load::<Settings>(LocalStack::Ignored) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return EXIT_CODE.into();
        }
    };
    let Loaded { settings, effective, exposures } = loaded;
    if cli.args.check_config {
        print!("{effective}");
        return ExitCode::SUCCESS;
    }
    let Some(Subcommands::Serve) = cli.command else {
        eprintln!("say what to do: command-api serve (--help tells more)");
        return EXIT_CODE.into();
    };
    match serve(settings, &exposures) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Settings, exposures: &Exposures) -> anyhow::Result<()> {
    telemetry::init(&settings.log)?;
    exposures.tell();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        Service::bind(settings)?.run(shutdown).await
    })
}
