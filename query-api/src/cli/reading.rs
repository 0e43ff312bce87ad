//! Reading a replay from a query API: chunk by chunk, going on by the cursor where the connection was cut.

use std::{ops::ControlFlow, time::Duration};

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use futures_util::StreamExt;
use infra::config::Client;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::sleep;

use super::Usage;

/// Between two tries to go on.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// Tries in a row by which nothing came.
const TRIES_MAX: u32 = 10;
/// A server that sends nothing for so long, not even a cursor, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The parameters that decide what is shown, encoded.
    pub(crate) query: String,
    /// Events a second.
    pub(crate) rate: Option<u32>,
    /// Where to go on.
    pub(crate) cursor: Option<String>,
}

/// Whole lines, and what came behind them.
pub(crate) struct Chunk<'c> {
    pub(crate) lines: &'c [u8],
    pub(crate) cursor: String,
    /// Records of the log that are still to be read.
    pub(crate) left: u64,
    /// How many the log has.
    pub(crate) shards: Option<u32>,
    /// By which one log is told from another.
    pub(crate) log: Option<String>,
}

/// Who takes the chunks.
#[async_trait]
pub(crate) trait Sink {
    /// Breaks off when it has had enough.
    ///
    /// # Errors
    /// What ends the reading.
    async fn take(&mut self, chunk: Chunk<'_>) -> Result<ControlFlow<()>>;

    /// It was cut, and will go on.
    fn goes_on(&mut self, _after: &anyhow::Error) {}
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
    shards: Option<u32>,
    log: Option<String>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    status: u16,
}

/// Reads until the sink breaks off.
///
/// # Errors
/// [`Usage`] if what is asked for is wrong; the sink's; and what does not pass by itself.
pub(crate) async fn read(client: &Client, mut asked: Asked, sink: &mut dyn SendSink) -> Result<()> {
    let http = reqwest::Client::builder().read_timeout(SILENCE_MAX).build();
    let http = http.context("making an HTTP client")?;
    let mut tries = 0;
    loop {
        let before = asked.cursor.clone();
        match attempt(&http, client, &mut asked, sink).await {
            Ok(ControlFlow::Break(())) => return Ok(()),
            Ok(ControlFlow::Continue(())) if tries >= TRIES_MAX => {
                return Err(anyhow!("what answers there ends replays without a cursor"));
            }
            Ok(ControlFlow::Continue(())) => {}
            Err(Cut::Final(error)) => return Err(error),
            Err(Cut::Lost(error)) if tries >= TRIES_MAX => return Err(error),
            Err(Cut::Lost(error)) => sink.goes_on(&error),
        }
        tries = if asked.cursor == before { tries + 1 } else { 0 };
        sleep(RETRY_WAIT).await;
    }
}

/// A sink that a task may take elsewhere.
pub(crate) trait SendSink: Sink + Send {}

impl<S: Sink + Send> SendSink for S {}

async fn attempt(
    http: &reqwest::Client,
    client: &Client,
    asked: &mut Asked,
    sink: &mut dyn SendSink,
) -> Result<ControlFlow<()>, Cut> {
    let mut url = format!("{}/v1/events?{}", client.url, asked.query);
    for (name, value) in
        [("rate", asked.rate.map(|rate| rate.to_string())), ("cursor", asked.cursor.clone())]
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
            let Some(sign) = sign(line) else {
                lines.extend_from_slice(line);
                continue;
            };
            let sign: Sign =
                serde_json::from_slice(sign).map_err(|error| Cut::Final(error.into()))?;
            if let Some(problem) = sign.problem {
                return Err(problem.into());
            }
            let Sign { cursor, left, shards, log, .. } = sign;
            let (Some(cursor), Some(left)) = (cursor, left) else { continue };
            asked.cursor = Some(cursor.clone());
            let chunk = Chunk { lines: &lines, cursor, left, shards, log };
            let taken = sink.take(chunk).await.map_err(Cut::Final)?;
            if taken.is_break() {
                return Ok(taken);
            }
            lines.clear();
        }
        buffer = rest;
    }
    Ok(ControlFlow::Continue(()))
}

/// The line's JSON, if it is no event: in rows it stands behind a `#`.
fn sign(line: &[u8]) -> Option<&[u8]> {
    let json = line.strip_prefix(b"#").unwrap_or(line);
    let is_sign =
        [b"{\"cursor\"".as_slice(), b"{\"problem\""].iter().any(|it| json.starts_with(it));
    is_sign.then_some(json)
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
