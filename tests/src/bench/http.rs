//! Commands over HTTP, one request each, against a server that only sends the same bodies back,
//! under the same load; and how late answers come at half of that rate, against a record that a
//! bare producer sends when nothing else is under way.
//!
//! Nothing is measured of a node and a broker that have just been started: commands go before for
//! [`WARM_UP`], which is told.
//!
//! The node has a topic of its own, for a projector that follows and PostgreSQL would share the
//! machine with one side only. The echo has threads of its own, as a server process would.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{RequestBuilder, Response};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    baseline::{Echo, lone_records},
    figure::{Figure, per_second, percentile},
    node::{self, Site},
    pace::{Schedule, Sent, milliseconds},
};
use stack::{folder::Folder, plain_http};

const REQUESTS: usize = 20_000;
/// At half of the rate: long enough for what comes once a second to come several times.
const PACED: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 256;
/// Streams that the commands are spread over.
const STREAMS: usize = 1_000;
const WAIT_MAX: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"quantity":1,"reference":"bench"}"#;

pub(super) async fn run(rounds: usize, folder: &Folder) -> Result<()> {
    node::alone(folder, async |site| measure(rounds, site).await).await
}

async fn measure(rounds: usize, site: &Site) -> Result<()> {
    let echo = Echo::start()?;
    let commands = Load::new(&site.url(), site.operator_key())?;
    let echoes = Load::new(&echo.url(), site.operator_key())?;
    commands.warm_up().await?;
    let (mut answered, mut echoed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        answered.push(commands.rate().await?);
        echoed.push(echoes.rate().await?);
    }
    Figure::compared("http_commands_per_second", &answered, &echoed, "1/s").print()?;

    let half = percentile(&answered, 50) / 2.0;
    let (mut paced, mut echoed, mut lone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        paced.push(commands.paced(half).await?);
        echoed.push(echoes.paced(half).await?);
        lone.push(percentile(&lone_records(&site.kafka()).await?, 50));
    }
    let late = percentiles(&paced, 99, |sent| sent.answer);
    Figure::compared(
        "http_p50_at_half_rate",
        &percentiles(&paced, 50, |sent| sent.answer),
        &lone,
        "ms",
    )
    .print()?;
    Figure::compared("http_p99_at_half_rate", &late, &lone, "ms").print()?;
    // What the machine and the load itself are late by.
    let echoed_late = percentiles(&echoed, 99, |sent| sent.answer);
    Figure::compared("http_p99_at_half_rate_of_echo", &late, &echoed_late, "ms").print()?;
    let sent_late = percentiles(&paced, 99, Sent::late);
    Figure::compared("http_load_late_p99_at_half_rate", &sent_late, &late, "ms").print()
}

/// Of each round.
fn percentiles(
    rounds: &[Vec<Sent<f64>>],
    percent: usize,
    of: impl Fn(&Sent<f64>) -> f64,
) -> Vec<f64> {
    let all = |sent: &Vec<Sent<f64>>| sent.iter().map(&of).collect::<Vec<_>>();
    rounds.iter().map(|sent| percentile(&all(sent), percent)).collect()
}

pub(super) struct Load {
    url: String,
    operator_key: String,
    http: reqwest::Client,
}

impl Load {
    pub(super) fn new(url: &str, operator_key: &str) -> Result<Self> {
        let http = plain_http::builder().timeout(WAIT_MAX).build()?;
        Ok(Self { url: url.to_owned(), operator_key: operator_key.to_owned(), http })
    }

    /// Requests per second, each connection sending the next when it has its answer.
    pub(super) async fn rate(&self) -> Result<f64> {
        self.open().await?;
        let began = Instant::now();
        self.send_all(REQUESTS).await?;
        per_second(REQUESTS, began.elapsed())
    }

    /// Makes the connections and the streams, before any clock starts.
    pub(super) async fn open(&self) -> Result<()> {
        self.send_all(STREAMS).await
    }

    /// Sends for half a minute: what a broker's compiler takes when it was just started is no command's.
    pub(super) async fn warm_up(&self) -> Result<()> {
        Figure::single("warm_up", WARM_UP.as_secs_f64(), "s").print()?;
        let began = Instant::now();
        while began.elapsed() < WARM_UP {
            self.open().await?;
        }
        Ok(())
    }

    async fn send_all(&self, count: usize) -> Result<()> {
        let requests = stream::iter(0..count).map(|index| self.send(index));
        requests.buffer_unordered(CONNECTIONS).try_collect().await
    }

    /// Milliseconds from when each request was due, so many a second, to its answer.
    async fn paced(&self, per_second: f64) -> Result<Vec<Sent<f64>>> {
        let schedule = Schedule::new(per_second, PACED);
        let sent = schedule.keep(async |index, due| {
            self.send(usize::try_from(index)?).await?;
            Ok(milliseconds(due.elapsed()))
        });
        sent.await
    }

    pub(super) async fn send(&self, index: usize) -> Result<()> {
        accepted(self.post(index).await?).await
    }

    /// Whose stock the command changes.
    fn sku(index: usize) -> String {
        format!("bench-{}", index % STREAMS)
    }

    /// Asks the query API for what a command changes.
    pub(super) fn look(&self, query_url: &str, index: usize) -> RequestBuilder {
        let url = format!("{query_url}/v1/stock/{}", Self::sku(index));
        self.http.get(url).bearer_auth(&self.operator_key)
    }

    pub(super) async fn post(&self, index: usize) -> Result<Response> {
        self.receive(&Self::sku(index)).await
    }

    pub(super) async fn receive(&self, sku: &str) -> Result<Response> {
        let url = format!("{}/v1/stock/{sku}/receive", self.url);
        let request = self.http.post(url).bearer_auth(&self.operator_key);
        let request = request.header("content-type", "application/json").body(BODY);
        let key = Uuid::new_v4().to_string();
        Ok(request.header("idempotency-key", key).send().await?)
    }
}

/// Takes the whole of an answer, which has to be a yes.
pub(super) async fn accepted(response: Response) -> Result<()> {
    let status = response.status();
    let body = response.bytes().await.context("a body")?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
