//! `query-api export`: events into Delta tables, once or again and again.

use std::{ops::ControlFlow, time::Duration};

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use futures_util::{FutureExt, future::BoxFuture};
use indicatif::ProgressBar;
use infra::clock::Clock;
use serde_json::json;
use tokio::time::sleep;
use url::form_urlencoded::Serializer;

use super::{
    ClientSettings, Ended, Usage,
    reading::{self, Asked, Chunk, Sink},
    replay::{bar, show},
};
use crate::export::{Export, ExportError, Mark, columns::Catalogue, place};

/// Such a replay can be gone on with for ever.
const FOLLOW: &str = "follow=true";
const KEPT: &str = "the cursor is that of _export.json beside the tables: without that file the log is read from its \
                    beginning, and what the tables have is not written again; after a change of replay.key take another \
                    place, for people would have two pseudonyms in this one";
/// Small files of one day that are put together, without being asked and with.
const COMPACT_AT: usize = 16;
const COMPACT_MIN: usize = 2;

// What is asked for. Clap would take a doc comment for the help of the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Where the tables are to be: file:///folder or s3://bucket/folder
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Where to begin: an instant (RFC 3339) or a Tradewind-Position; at the beginning of the log without it
    #[arg(long, value_name = "WHEN", value_parser = fixed)]
    pub from: Option<String>,
    /// Only events of these types, such as order.placed or order.*; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Go on for ever, and write what has come this often, such as 5m
    #[arg(long, value_name = "TIME", value_parser = period)]
    pub every: Option<Duration>,
    /// Put the small files of a day together, however few there are
    #[arg(long)]
    pub compact: bool,
    /// Tell how far it is as lines of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// What is relative to now would be another beginning with each run, and what lies between would be lost.
fn fixed(text: &str) -> Result<String, String> {
    match text.starts_with("now") {
        true => {
            Err("an instant such as 2026-01-31T12:00:00Z: the tables begin there for ever"
                .to_owned())
        }
        false => Ok(text.to_owned()),
    }
}

/// `30s`, `5m`, `1h`
fn period(text: &str) -> Result<Duration, String> {
    let seconds = [("s", 1), ("m", 60), ("h", 3_600)].into_iter().find_map(|(unit, seconds)| {
        text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(seconds)
    });
    let seconds = seconds.filter(|seconds| (1..=86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "1s to 24h, such as 5m".to_owned())
}

impl Options {
    /// What decides which events there are.
    fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        if let Some(from) = &self.from {
            query.append_pair("from", from);
        }
        if !self.types.is_empty() {
            query.append_pair("type", &self.types.join(","));
        }
        query.finish()
    }
}

/// The tables, and how far they have got.
struct Writing<'a> {
    export: Export,
    left: Option<u64>,
    bar: &'a ProgressBar,
    json: bool,
}

#[async_trait]
impl Sink for Writing<'_> {
    async fn take(&mut self, chunk: Chunk<'_>) -> Result<ControlFlow<()>> {
        let Chunk { lines, cursor, left, shards, log } = chunk;
        let shards = shards.context("that query API is too old: it tells no number of shards")?;
        let before = self.export.written();
        self.export.take(lines, Mark { cursor, log, shards }).await.map_err(told)?;
        self.left = Some(left);
        show(self.bar, left);
        if self.export.written() != before {
            self.tell("written");
        }
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn goes_on(&mut self, after: &anyhow::Error) {
        self.bar.suspend(|| eprintln!("going on after: {after:#}"));
    }
}

impl Writing<'_> {
    #[expect(clippy::print_stdout, reason = "a CLI talks to people and pipes")]
    fn tell(&self, what: &str) {
        let written = self.export.written();
        if self.json {
            let line = json!({
                "what": what, "at": Clock::System.now(), "events": written.rows,
                "files": written.files, "bytes": written.bytes, "left": self.left,
            });
            println!("{line}");
        } else if what == "level" {
            self.bar.suspend(|| {
                eprintln!(
                    "{} events in {} files, {} bytes",
                    written.rows, written.files, written.bytes
                );
            });
        }
    }
}

/// Writes what is asked for, and tells on standard error how far it is.
///
/// # Errors
/// [`Usage`] if what is asked for is wrong; anything else may go on by the same command.
pub fn run<'a>(settings: &'a ClientSettings, options: &'a Options) -> BoxFuture<'a, Result<Ended>> {
    async move {
        let bar = bar();
        let ended = tokio::select! {
            done = rounds(settings, options, &bar) => done.map(|()| Ended::Done),
            stopped = tokio::signal::ctrl_c() => stopped.map(|()| Ended::Stopped).context("signals"),
        };
        bar.finish_and_clear();
        ended
    }
    .boxed()
}

fn rounds<'a>(
    settings: &'a ClientSettings,
    options: &'a Options,
    bar: &'a ProgressBar,
) -> BoxFuture<'a, Result<()>> {
    async move {
        loop {
            let Some(every) = options.every else { return round(settings, options, bar).await };
            match round(settings, options, bar).await {
                Ok(()) => {}
                Err(error) if error.is::<Usage>() => return Err(error),
                // Whatever has been committed stands, and the next round goes on behind it.
                Err(error) => bar.suspend(|| eprintln!("trying again in {every:?}: {error:#}")),
            }
            sleep(every).await;
        }
    }
    .boxed()
}

/// Until the tables are level with the log.
async fn round(settings: &ClientSettings, options: &Options, bar: &ProgressBar) -> Result<()> {
    let (store, root) = place::open(&options.to).map_err(|error| Usage(format!("{error:#}")))?;
    let query = options.query();
    let catalogue = Catalogue::of_this_release();
    let export = Export::open(store, root, query.clone(), catalogue, Clock::System);
    let export = export.await.map_err(told)?;
    let cursor = export.cursor().map(ToOwned::to_owned);
    let mut writing = Writing { export, left: None, bar, json: options.json };
    let query = if query.is_empty() { FOLLOW.to_owned() } else { format!("{query}&{FOLLOW}") };
    let goes_on = cursor.is_some();
    let asked = Asked { query, rate: None, cursor };
    let read = reading::read(&settings.client, asked, &mut writing).await;
    // The log was made anew, or the key of the replays was changed.
    read.map_err(|error| match error.is::<Usage>() && goes_on {
        true => Usage(format!("{error}; {KEPT}")).into(),
        false => error,
    })?;
    writing.export.flush().await.map_err(told)?;
    let files_min = if options.compact { COMPACT_MIN } else { COMPACT_AT };
    writing.export.compact(files_min).await.map_err(told)?;
    writing.tell("level");
    Ok(())
}

fn told(error: ExportError) -> anyhow::Error {
    if error.is_usage() { Usage(error.to_string()).into() } else { anyhow!(error) }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    use axum::{Router, extract::Query, routing::get};
    use infra::{
        config::Client,
        task::{self, Task},
    };
    use tokio::net::TcpListener;

    use super::*;

    type Asked = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

    /// A query API whose log has three events, and whose first answer is cut off behind one of them.
    async fn serve() -> (ClientSettings, Asked, Task<()>) {
        let asked = Asked::default();
        let heard = Arc::clone(&asked);
        let answer = move |Query(query): Query<BTreeMap<String, String>>| async move {
            let from = query.get("cursor").map_or(0, |cursor| cursor.parse::<u64>().unwrap());
            heard.lock().unwrap().push(query);
            let until = if from == 0 { 1 } else { 3 };
            let mut lines = String::new();
            for seq in from + 1..=until {
                let line = json!({
                    "id": seq.to_string(), "type": "tradewind.cart.abandoned.v1", "subject": "cart/1",
                    "time": "2026-01-01T00:00:00Z", "seq": seq, "revision": seq, "commandid": "c",
                    "data": {},
                });
                let sign =
                    json!({ "cursor": seq.to_string(), "left": 3 - seq, "shards": 1, "log": "a1" });
                lines.push_str(&format!("{line}\n{sign}\n"));
            }
            if from >= 3 {
                let sign = json!({ "cursor": "3", "left": 0, "shards": 1, "log": "a1" });
                lines.push_str(&format!("{sign}\n"));
            }
            lines
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/events", get(answer));
        let serving = task::spawn("api", async { axum::serve(listener, router).await.unwrap() });
        let client = Client { url, operator_key: "key".into() };
        (ClientSettings { client }, asked, serving)
    }

    #[tokio::test]
    async fn it_reads_until_it_is_level_and_goes_on_from_there() {
        let (settings, asked, _serving) = serve().await;
        let folder = tempfile::tempdir().unwrap();
        let to = url::Url::from_file_path(folder.path()).unwrap().to_string();
        let options = Options { to, types: vec!["cart.*".to_owned()], ..Options::default() };
        for _ in 0..2 {
            assert_eq!(run(&settings, &options).await.unwrap(), Ended::Done);
        }
        let asked = asked.lock().unwrap().clone();
        assert!(asked.iter().all(|it| it["follow"] == "true" && it["type"] == "cart.*"));
        let cursors: Vec<_> = asked.iter().map(|it| it.get("cursor").map(String::as_str)).collect();
        assert_eq!(cursors, [None, Some("1"), Some("3")]);
        for table in ["events", "cart_abandoned"] {
            let log = std::fs::read_dir(folder.path().join(table).join("_delta_log")).unwrap();
            assert_eq!(log.count(), 1, "{table} was written once");
        }

        let everything = Options { types: Vec::new(), ..options };
        let error = run(&settings, &everything).await.unwrap_err();
        assert!(error.is::<Usage>(), "{error:#}");
    }

    #[test]
    fn periods_have_a_unit() {
        assert_eq!(period("5m"), Ok(Duration::from_secs(300)));
        for bad in ["5", "0s", "25h", "-1m", "m"] {
            assert!(period(bad).is_err(), "{bad}");
        }
    }
}
