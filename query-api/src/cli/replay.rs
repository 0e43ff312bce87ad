//! `query-api replay`: events into a file or to standard output, from where they were cut off.

use std::{
    io::{ErrorKind, IsTerminal, Write, stderr, stdout},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use infra::config::Client;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::sleep;
use url::form_urlencoded::Serializer;

use super::{ClientSettings, Usage, place::Place};

const BAR: &str = "[{bar:32}] {percent:>3}% {per_sec} {eta} left";
/// Between two tries to go on.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// Tries in a row by which nothing came.
const TRIES_MAX: u32 = 10;
/// A server that sends nothing for so long, not even a cursor, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

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
        let pairs = [
            ("from", &self.from),
            ("to", &self.to),
            ("type", &types),
            ("stream", &self.stream),
            ("actor", &self.actor),
            ("where", &self.condition),
            ("raw", &raw),
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

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// By Ctrl-C; the cursor is good.
    Stopped,
}

/// Why a try ended before all had come.
enum Cut {
    /// It may be gone on with.
    Lost(anyhow::Error),
    Final(anyhow::Error),
}

/// A line that is no event.
#[derive(Deserialize)]
struct Sign {
    cursor: Option<String>,
    left: Option<u64>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    status: u16,
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
        if place.is_done() {
            eprintln!("all of it has been written; remove the cursor's file to begin anew");
            return Ok(Ended::Done);
        }
        let mut out: Box<dyn Write + Send> = match &options.out {
            Some(out) => Box::new(place.open(out, kept.as_deref())?),
            None => Box::new(stdout()),
        };
        let bar = bar();
        let replaying = replay(&settings.client, options, &mut place, &mut *out, kept.as_deref(), &bar);
        let ended = tokio::select! {
            done = replaying => match done {
                // Who reads it has had enough, as `head` has.
                Err(error) if options.out.is_none() && is_broken_pipe(&error) => Ok(Ended::Done),
                done => done.map(|()| Ended::Done),
            },
            stopped = tokio::signal::ctrl_c() => stopped.map(|()| Ended::Stopped).context("signals"),
        };
        bar.finish_and_clear();
        ended
    }
    .boxed()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

async fn replay(
    client: &Client,
    options: &Options,
    place: &mut Place,
    out: &mut (dyn Write + Send),
    kept: Option<&Path>,
    bar: &ProgressBar,
) -> Result<()> {
    let http = reqwest::Client::builder().read_timeout(SILENCE_MAX).build();
    let http = http.context("making an HTTP client")?;
    let mut tries = 0;
    while !place.is_done() {
        let before = place.cursor.clone();
        match attempt(&http, client, options, place, out, kept, bar).await {
            Ok(()) if tries >= TRIES_MAX => {
                return Err(anyhow!("what answers there ends replays without a cursor"));
            }
            Ok(()) => {}
            Err(Cut::Final(error)) => return Err(error),
            Err(Cut::Lost(error)) if tries >= TRIES_MAX => return Err(error),
            Err(Cut::Lost(error)) => bar.suspend(|| eprintln!("going on after: {error:#}")),
        }
        tries = if place.cursor == before { tries + 1 } else { 0 };
        if !place.is_done() {
            sleep(RETRY_WAIT).await;
        }
    }
    Ok(())
}

async fn attempt(
    http: &reqwest::Client,
    client: &Client,
    options: &Options,
    place: &mut Place,
    out: &mut (dyn Write + Send),
    kept: Option<&Path>,
    bar: &ProgressBar,
) -> Result<(), Cut> {
    let mut url = format!("{}/v1/events?{}", client.url, place.query);
    for (name, value) in
        [("rate", options.rate.map(|rate| rate.to_string())), ("cursor", place.cursor.clone())]
    {
        if let Some(value) = value {
            url.push_str(&format!("&{name}={value}"));
        }
    }
    let lost = |error: reqwest::Error| Cut::Lost(anyhow!(error.without_url()));
    let request = http.get(url).bearer_auth(client.operator_key.expose_secret());
    let answer = request.send().await.map_err(lost)?;
    if !answer.status().is_success() {
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(lost)?;
        let problem = serde_json::from_str(&text).unwrap_or_else(|_| Problem {
            code: "unknown".to_owned(),
            detail: text,
            status,
        });
        return Err(problem.into());
    }
    let (mut body, mut buffer) = (answer.bytes_stream(), Vec::new());
    // Events that no cursor is behind yet.
    let mut lines = Vec::new();
    while let Some(bytes) = body.next().await {
        buffer.extend_from_slice(&bytes.map_err(lost)?);
        let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else { continue };
        let rest = buffer.split_off(end + 1);
        for line in buffer.split_inclusive(|byte| *byte == b'\n') {
            let is_sign =
                [b"{\"cursor\"".as_slice(), b"{\"problem\""].iter().any(|it| line.starts_with(it));
            if !is_sign {
                lines.extend_from_slice(line);
                continue;
            }
            let sign: Sign =
                serde_json::from_slice(line).map_err(|error| Cut::Final(error.into()))?;
            if let Some(problem) = sign.problem {
                return Err(problem.into());
            }
            let (Some(cursor), Some(left)) = (sign.cursor, sign.left) else { continue };
            place.advance(out, &lines, cursor, left, kept).map_err(Cut::Final)?;
            lines.clear();
            show(bar, left);
        }
        buffer = rest;
    }
    Ok(())
}

fn bar() -> ProgressBar {
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
fn show(bar: &ProgressBar, left: u64) {
    let whole = bar.length().unwrap_or(left).max(left);
    bar.set_length(whole);
    bar.set_position(whole - left);
}

impl From<Problem> for Cut {
    fn from(problem: Problem) -> Self {
        let Problem { code, detail, status } = problem;
        let told = format!("{detail} ({code})");
        match status {
            400 | 404 | 422 => Self::Final(Usage(told).into()),
            429 | 502 | 503 | 504 if code != "replay_off" => Self::Lost(anyhow!(told)),
            _ => Self::Final(anyhow!(told)),
        }
    }
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
