//! `query-api`: settings, wiring, signals.

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use infra::{
    config::{self, Loaded, LocalStack, Mistakes},
    shutdown::Shutdown,
    telemetry,
};
use query_api::{
    Service, Settings,
    cli::{ClientSettings, Ended, SqlSettings, Usage, export, replay, sql},
};

/// As a shell has it for what Ctrl-C ended.
const EXIT_STOPPED: u8 = 130;

const EXAMPLES: &str = "Examples:
  query-api serve --config /etc/tradewind/query-api.toml
  TRADEWIND_HTTP__BIND=0.0.0.0:8081 query-api serve
  query-api --check-config
  query-api replay --from now-7d --type 'order.*' --out week.ndjson
  query-api replay --where data.channel=pos | head -1
  query-api sql 'SELECT week, sum(revenue) FROM sales GROUP BY week ORDER BY week'";

const REPLAY_EXAMPLES: &str = "Examples:
  query-api replay --from now-7d --type 'order.*' --out week.ndjson
  query-api replay --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --where data.channel=pos
  query-api replay --stream 'stock/*' --rate 500/s --out stock.ndjson
  query-api replay --type order.placed --columns time,stream,data.totals.total.amount --out orders.csv
  query-api replay --from now --follow --order time

The same command goes on with a file that was cut off. It takes TRADEWIND_QUERY_URL and
TRADEWIND_OPERATOR_KEY, a key with the role analyst, and finds a local stack in its folder by itself.
Exit codes: 0 all is written, 1 failed, 2 wrong usage or settings, 130 stopped by Ctrl-C.";

const EXPORT_EXAMPLES: &str = "Examples:
  query-api export --to file:///var/lake
  query-api export --to s3://lake/tradewind --every 5m --json
  query-api export --to file:///var/orders --type 'order.*' --from 2026-01-01T00:00:00Z
  duckdb -c \"SELECT type, count(*) FROM delta_scan('/var/lake/events') GROUP BY type\"

The same command goes on where the tables are; what is in them is never written twice, whoever else exports
there. For s3:// it takes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and
AWS_ENDPOINT_URL. It takes TRADEWIND_QUERY_URL and TRADEWIND_OPERATOR_KEY, a key with the role analyst, and
finds a local stack in its folder by itself.
Exit codes: 0 the tables are level with the log, 1 failed, 2 wrong usage or settings, 130 stopped by Ctrl-C.";

const SQL_EXAMPLES: &str = "Examples:
  query-api sql 'SELECT week, department, sum(revenue) FROM sales GROUP BY 1, 2 ORDER BY 1, 2'
  query-api sql --format parquet --out orders.parquet 'SELECT * FROM orders'
  query-api sql \"SELECT table_name, obj_description(table_name::regclass) FROM information_schema.tables
                 WHERE table_schema = 'analytics'\"

It takes TRADEWIND_SQL__URL, and finds a local stack in its folder by itself.
Exit codes: 0 done, 1 failed, 2 wrong usage, SQL or settings, 130 stopped by Ctrl-C.";

/// Serves Tradewind's read models over HTTP, and replays its events for analysts
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
    /// Write the events of the log, a line of JSON each, from where they were cut off
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<replay::Options>),
    /// Write the events of the log into Delta Lake tables, from where they are
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Box<export::Options>),
    /// Ask the views that are made for analysts
    #[command(after_help = SQL_EXAMPLES)]
    Sql(sql::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { args, command } = Cli::parse();
    let Some(command) = command.or(args.check_config.then_some(Command::Serve)) else {
        eprintln!("{}", Cli::command().render_help());
        return ExitCode::from(config::EXIT_CODE);
    };
    match carry_out(&args, command).await {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Stopped) => ExitCode::from(EXIT_STOPPED),
        Err(error) if error.is::<Mistakes>() => {
            eprintln!("{error}");
            ExitCode::from(config::EXIT_CODE)
        }
        Err(error) => {
            eprintln!("query-api: {error:#}");
            ExitCode::from(if error.is::<Usage>() { config::EXIT_CODE } else { 1 })
        }
    }
}

async fn carry_out(args: &config::Args, command: Command) -> anyhow::Result<Ended> {
    match command {
        Command::Serve => {
            if let Some(Loaded { settings, exposures, .. }) = args.load(LocalStack::Ignored)? {
                serve(settings, exposures).await?;
            }
        }
        Command::Replay(options) => {
            if let Some(loaded) = args.load::<ClientSettings>(LocalStack::Reader)? {
                return replay::run(&loaded.settings, &options).await;
            }
        }
        Command::Export(options) => {
            if let Some(loaded) = args.load::<ClientSettings>(LocalStack::Reader)? {
                return export::run(&loaded.settings, &options).await;
            }
        }
        Command::Sql(options) => {
            if let Some(loaded) = args.load::<SqlSettings>(LocalStack::Reader)? {
                return sql::run(&loaded.settings, &options).await;
            }
        }
    }
    Ok(Ended::Done)
}

async fn serve(settings: Settings, exposures: config::Exposures) -> anyhow::Result<()> {
    telemetry::init(&settings.log)?;
    exposures.tell();
    let shutdown = Shutdown::on_signals().context("installing signal handlers")?;
    let service = Service::bind(settings)?;
    Ok(service.run(shutdown).await?)
}
