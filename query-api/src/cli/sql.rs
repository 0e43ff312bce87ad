//! `query-api sql`: one statement that reads, as the role of analysts, and its rows as a table, CSV, JSON or
//! Parquet.
//!
//! **Invariant:** what cannot be shown as a whole is not left behind as a file: rows go into a file beside
//! it, which takes its name at the end.

mod format;
mod output;
mod parquet;
mod value;

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use futures_util::{FutureExt, TryStreamExt, future::BoxFuture};
use infra::config::Sql;
use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, PgConnection, Row,
    SqlSafeStr, Statement, TypeInfo, ValueRef,
    postgres::{PgConnectOptions, PgRow},
};

use self::{
    output::Sheet,
    value::{Column, Kind},
};
use super::{Ended, SqlSettings, Usage, is_broken_pipe};

pub use format::Format;

/// Bytes of a statement.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Of one statement, whatever `--limit` says.
const ROWS_MAX: u64 = 100_000_000;

// What is asked for. Clap would take a doc comment for the help of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One statement that reads
    #[arg(value_name = "SQL")]
    pub statement: String,
    /// How rows are written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write to this file, once all rows have come
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The most rows; more are an error
    #[arg(long, value_name = "ROWS", default_value_t = 100_000,
        value_parser = clap::value_parser!(u64).range(1..=ROWS_MAX))]
    pub limit: u64,
}

/// Writes the rows of a statement.
///
/// # Errors
/// [`Usage`] if the statement or what is wanted of its rows is wrong.
pub fn run<'a>(settings: &'a SqlSettings, options: &'a Options) -> BoxFuture<'a, Result<Ended>> {
    async move {
        if options.format == Format::Parquet && options.out.is_none() {
            return Err(wrong("Parquet is no text: name a file with --out"));
        }
        if options.statement.len() > STATEMENT_BYTES_MAX {
            return Err(wrong("the statement is longer than 1 MiB"));
        }
        let session = Session::open(&settings.sql).await?;
        let pid = session.pid;
        let asking = ask(session, options);
        tokio::pin!(asking);
        tokio::select! {
            done = &mut asking => match done {
                // Who reads it has had enough, as `head` has.
                Err(error) if options.out.is_none() && is_broken_pipe(&error) => Ok(Ended::Done),
                done => done.map(|()| Ended::Done),
            },
            stopped = tokio::signal::ctrl_c() => {
                stopped.context("signals")?;
                if cancel(&settings.sql, pid).await {
                    // It says that it was cancelled, and removes what it has written.
                    tokio::select! {
                        _ = &mut asking => return Ok(Ended::Stopped),
                        again = tokio::signal::ctrl_c() => again.context("signals")?,
                    }
                }
                // Not waited for: the server ends it when its time is up.
                if let Some(out) = &options.out {
                    drop(std::fs::remove_file(beside(out)));
                }
                Ok(Ended::Stopped)
            }
        }
    }
    .boxed()
}

struct Session {
    connection: PgConnection,
    pid: i32,
}

impl Session {
    async fn open(settings: &Sql) -> Result<Self> {
        let mut connection = connect(settings).await?;
        let begin = "SET statement_timeout = 0; SET DateStyle = 'ISO'; SET TimeZone = 'UTC';
                     SET bytea_output = 'hex'; SET extra_float_digits = 1";
        connection.execute(begin).await.map_err(explained)?;
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await;
        let pid = pid.map_err(explained)?;
        // A prepared statement is one statement, so it cannot end this transaction and write after it.
        let begin = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {}",
            settings.statement_wait_max.as_millis()
        );
        connection.execute(AssertSqlSafe(begin)).await.map_err(explained)?;
        Ok(Self { connection, pid })
    }
}

async fn connect(settings: &Sql) -> Result<PgConnection> {
    let options: Result<PgConnectOptions, _> = settings.url.expose_secret().parse();
    let options = options.map_err(|_secret| wrong("`sql.url` is no URL of a database"))?;
    let options = options.application_name("query-api sql").disable_statement_logging();
    PgConnection::connect_with(&options).await.map_err(explained)
}

/// Ends the statement of a session. If that does not work, the server ends it when its time is up.
async fn cancel(settings: &Sql, pid: i32) -> bool {
    let cancelled = async {
        let mut connection = connect(settings).await?;
        sqlx::query("SELECT pg_cancel_backend($1)").bind(pid).execute(&mut connection).await?;
        anyhow::Ok(())
    };
    let cancelled = cancelled.await;
    if let Err(error) = &cancelled {
        eprintln!(
            "the statement could not be cancelled and goes on until its time is up: {error:#}"
        );
    }
    cancelled.is_ok()
}

async fn ask(mut session: Session, options: &Options) -> Result<()> {
    let statement = || AssertSqlSafe(options.statement.clone()).into_sql_str();
    let prepared = session.connection.prepare(statement()).await.map_err(explained)?;
    let columns: Vec<Column> = prepared
        .columns()
        .iter()
        .map(|column| Column::new(column.name(), Kind::of(column.type_info().name())))
        .collect();
    if columns.is_empty() {
        // What gives no rows is run all the same: it is refused there if it writes.
        session.connection.execute(sqlx::raw_sql(statement())).await.map_err(explained)?;
        return Err(wrong("the statement has no rows to show"));
    }
    if let Some(twice) = output::twice(&columns).filter(|_| options.format.needs_names()) {
        return Err(wrong(&format!("two columns are called {twice:?}: name one with AS")));
    }
    let place = options.out.as_deref().map(beside);
    let done = match &place {
        Some(place) => {
            let file = std::fs::File::create(place);
            let file = file.with_context(|| format!("creating {}", place.display()))?;
            write(&mut session, options, columns, Box::new(std::io::BufWriter::new(file))).await
        }
        None => write(&mut session, options, columns, Box::new(stdout())).await,
    };
    match (&place, &options.out) {
        (Some(place), Some(out)) => keep(place, out, done),
        _ => done,
    }
}

async fn write(
    session: &mut Session,
    options: &Options,
    columns: Vec<Column>,
    out: Box<dyn Write + Send>,
) -> Result<()> {
    let mut sheet = Sheet::new(options.format, columns, out)?;
    let mut count = 0_u64;
    let statement = AssertSqlSafe(options.statement.clone()).into_sql_str();
    // Without parameters the server writes values as text, which no type of theirs is too strange for.
    let mut rows = session.connection.fetch(sqlx::raw_sql(statement));
    while let Some(row) = rows.try_next().await.map_err(explained)? {
        if count == options.limit {
            return Err(anyhow!(
                "there are more than {count} rows: count or group them, or allow more with --limit"
            ));
        }
        sheet.row(&cells(&row)?)?;
        count += 1;
    }
    drop(rows);
    sheet.end()?;
    eprintln!("{count} {}", if count == 1 { "row" } else { "rows" });
    Ok(())
}

fn cells(row: &PgRow) -> Result<Vec<Option<String>>> {
    let cell = |index: usize| -> Result<Option<String>> {
        let value = row.try_get_raw(index).context("reading a row")?;
        if value.is_null() {
            return Ok(None);
        }
        let text = value.as_str().map_err(|error| anyhow!(error)).context("reading a value")?;
        Ok(Some(text.to_owned()))
    };
    (0..row.len()).map(cell).collect()
}

/// `x.csv` is `x.csv.part` until it is whole.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn keep(place: &Path, out: &Path, done: Result<()>) -> Result<()> {
    let kept = done.and_then(|()| {
        std::fs::rename(place, out).with_context(|| format!("naming {}", out.display()))
    });
    if kept.is_err() {
        // It may be that nothing could be written.
        drop(std::fs::remove_file(place));
    }
    kept
}

fn wrong(text: &str) -> anyhow::Error {
    Usage(text.to_owned()).into()
}

/// What PostgreSQL says, in words for who asked, and whether to ask once more is any use.
fn explained(error: sqlx::Error) -> anyhow::Error {
    let Some(said) = error.as_database_error() else {
        return anyhow!(error).context("PostgreSQL cannot be asked");
    };
    let (code, message) = (said.code().unwrap_or_default(), said.message());
    match &*code {
        // So PostgreSQL speaks of a view that nobody writes through.
        "55000" if message.starts_with("cannot ") => wrong(&format!("this only reads: {message}")),
        "25006" => wrong(&format!("this only reads: {message}")),
        "57014" if message.contains("timeout") => anyhow!(
            "the statement took too long and was ended: ask for less, or raise `sql.statement_wait_max`"
        ),
        "57014" | "57P01" => anyhow!(
            "the statement was cancelled: an operator did so, or shows another version of what it reads; \
             ask again"
        ),
        "53300" => anyhow!("as many analysts are at work as may be: try again later ({message})"),
        _ if code.starts_with("42") || code.starts_with("22") => {
            let hint = said
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .and_then(|said| said.hint())
                .map(|hint| format!("; {hint}"))
                .unwrap_or_default();
            wrong(&format!("{message}{hint} ({code})"))
        }
        _ => anyhow!("{message} ({code})"),
    }
}
