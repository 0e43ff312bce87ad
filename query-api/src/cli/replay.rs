//! `query-api replay`: events into a file or to standard output, from where they were cut off.

use std::{
    fs::File,
    io::{IsTerminal, Stdout, Write, stderr, stdout},
    ops::ControlFlow,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::{FutureExt, future::BoxFuture};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use super::{
    ClientSettings, Ended, Usage, is_broken_pipe,
    place::Place,
    reading::{self, Asked, Chunk, Sink},
};

const BAR: &str = "[{bar:32}] {percent:>3}% {per_sec} {eta} left";
/// Between two times that the cursor is stored; what came since comes again.
const STORE_WAIT: Duration = Duration::from_secs(1);

// What is asked for. Clap would take a doc comment for the help of the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Where to begin: an instant (RFC 3339), now-7d, or a Tradewind-Position; at the beginning of the log without it
    #[arg(long, value_name = "WHEN")]
    pub from: Option<String>,
    /// Where to end, not included; where the log ends now without it
    #[arg(long, value_name = "WHEN")]
    pub to: Option<String>,
    /// Only events of these types, such as order.placed or order.*; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only events of this stream, such as order/<id>, or order/* for all of a kind
    #[arg(long)]
    pub stream: Option<String>,
    /// Only what this actor did, such as guest
    #[arg(long)]
    pub actor: Option<String>,
    /// Only events whose data have this value, such as data.channel=pos
    #[arg(long = "where", value_name = "data.MEMBER=VALUE")]
    pub condition: Option<String>,
    /// Events as they were written, also of older versions
    #[arg(long)]
    pub raw: bool,
    /// Texts that tell of a person as they are, for a key with the role privacy; that is recorded
    #[arg(long)]
    pub personal: bool,
    /// The shards one after the other, or together by time
    #[arg(long, value_name = "shard|time", value_parser = ["shard", "time"])]
    pub order: Option<String>,
    /// Go on with what comes, for ever
    #[arg(long, conflicts_with = "to")]
    pub follow: bool,
    /// Lines of JSON, or rows with columns
    #[arg(long, value_name = "ndjson|csv", value_parser = ["ndjson", "csv"])]
    pub format: Option<String>,
    /// Columns of the rows, such as time,stream,data.total.amount; makes them csv
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Events a second, such as 500/s; as fast as it goes without it
    #[arg(long, value_name = "N/s", value_parser = per_second)]
    pub rate: Option<u32>,
    /// Write to this file and keep the cursor beside it, so that the same command goes on
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Keep the cursor here [default: FILE.cursor]
    #[arg(long, value_name = "FILE")]
    pub cursor_file: Option<PathBuf>,
}

/// `500/s`
fn per_second(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    let number = number.filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "1/s to 1000000/s".to_owned())
}

impl Options {
    /// As the query API reads it, without what changes nothing of what is shown.
    fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        let types = (!self.types.is_empty()).then(|| self.types.join(","));
        let raw = self.raw.then(|| "true".to_owned());
        let personal = self.personal.then(|| "shown".to_owned());
        let follow = self.follow.then(|| "true".to_owned());
        let columns = (!self.columns.is_empty()).then(|| self.columns.join(","));
        let csv = columns.is_some().then(|| "csv".to_owned());
        let format = self.format.clone().or(csv);
        let pairs = [
            ("from", &self.from),
            ("to", &self.to),
            ("type", &types),
            ("stream", &self.stream),
            ("actor", &self.actor),
            ("where", &self.condition),
            ("raw", &raw),
            ("personal", &personal),
            ("order", &self.order),
            ("follow", &follow),
            ("format", &format),
            ("columns", &columns),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    fn cursor_file(&self) -> Option<PathBuf> {
        let beside = || {
            let mut name = self.out.clone()?.into_os_string();
            name.push(".cursor");
            Some(name.into())
        };
        self.cursor_file.clone().or_else(beside)
    }
}

/// Writes what is asked for, and tells on standard error how far it is.
///
/// # Errors
/// [`Usage`] if what is asked for is wrong; anything else may go on by the same command.
pub fn run<'a>(settings: &'a ClientSettings, options: &'a Options) -> BoxFuture<'a, Result<Ended>> {
    async move {
        let (query, kept) = (options.query(), options.cursor_file());
        if options.out.is_some() && options.out == kept {
            return Err(Usage("--out and --cursor-file have to be two files".to_owned()).into());
        }
        let mut place = Place::load(kept.as_deref(), &query)?;
        if place.is_done() && !options.follow {
            eprintln!("all of it has been written; remove the cursor's file to begin anew");
            return Ok(Ended::Done);
        }
        let out = match &options.out {
            Some(out) => Out::File(place.open(out, kept.as_deref(), options.personal)?),
            None => Out::Standard(stdout()),
        };
        let asked = Asked { query, rate: options.rate, cursor: place.cursor.clone() };
        let (bar, follow) = (bar(), options.follow);
        let mut writing = Writing { place, out, kept, bar, follow, stored: Instant::now() };
        let ended = tokio::select! {
            done = reading::read(&settings.client, asked, &mut writing) => match done {
                // Who reads it has had enough, as `head` has.
                Err(error) if options.out.is_none() && is_broken_pipe(&error) => Ok(Ended::Done),
                done => done.map(|()| Ended::Done),
            },
            stopped = tokio::signal::ctrl_c() => stopped.map(|()| Ended::Stopped).context("signals"),
        };
        writing.bar.finish_and_clear();
        let stored = writing.store();
        ended.and_then(|ended| stored.map(|()| ended))
    }
    .boxed()
}

/// Lines on their way into a file or to standard output.
struct Writing {
    place: Place,
    out: Out,
    kept: Option<PathBuf>,
    bar: ProgressBar,
    follow: bool,
    stored: Instant,
}

enum Out {
    File(File),
    Standard(Stdout),
}

impl Writing {
    /// What is behind the cursor is on the disk before the cursor is.
    fn store(&mut self) -> Result<()> {
        if let (Out::File(file), Some(_)) = (&self.out, &self.kept) {
            file.sync_data().context("writing events")?;
        }
        self.stored = Instant::now();
        self.place.store(self.kept.as_deref())
    }
}

#[async_trait]
impl Sink for Writing {
    async fn take(&mut self, chunk: Chunk<'_>) -> Result<ControlFlow<()>> {
        let Chunk { lines, cursor, left, .. } = chunk;
        let out: &mut dyn Write = match &mut self.out {
            Out::File(file) => file,
            Out::Standard(out) => out,
        };
        out.write_all(lines).and_then(|()| out.flush()).context("writing events")?;
        self.place.advance(lines.len(), cursor, left);
        let is_done = left == 0 && !self.follow;
        if is_done || self.stored.elapsed() >= STORE_WAIT {
            self.store()?;
        }
        show(&self.bar, left);
        Ok(if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn goes_on(&mut self, after: &anyhow::Error) {
        self.bar.suspend(|| eprintln!("going on after: {after:#}"));
    }
}

pub(super) fn bar() -> ProgressBar {
    let target = if stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style)
}

/// What was left when the first cursor came is the whole of it.
pub(super) fn show(bar: &ProgressBar, left: u64) {
    let whole = bar.length().unwrap_or(left).max(left);
    bar.set_length(whole);
    bar.set_position(whole - left);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_into_the_query() {
        let options = Options {
            from: Some("now-7d".to_owned()),
            types: vec!["order.*".to_owned(), "stock.received".to_owned()],
            condition: Some("data.channel=pos".to_owned()),
            raw: true,
            rate: Some(5),
            ..Options::default()
        };
        let expected =
            "from=now-7d&type=order.*%2Cstock.received&where=data.channel%3Dpos&raw=true";
        assert_eq!(options.query(), expected);
        assert_eq!(options.cursor_file(), None);
        let rows = Options {
            columns: vec!["time".to_owned(), "data.channel".to_owned()],
            follow: true,
            ..Options::default()
        };
        assert_eq!(rows.query(), "follow=true&format=csv&columns=time%2Cdata.channel");
        let options = Options { out: Some("a.ndjson".into()), ..options };
        assert_eq!(options.cursor_file(), Some("a.ndjson.cursor".into()));
    }

    #[test]
    fn rates_are_per_second() {
        assert_eq!((per_second("500/s"), per_second("5")), (Ok(500), Ok(5)));
        for bad in ["", "0/s", "5/m", "-1"] {
            assert!(per_second(bad).is_err(), "{bad}");
        }
    }
}
