//! Commands over HTTP, one request each, against a server that only sends the same bodies back,
//! under the same load.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use axum::{Router, body::Bytes};
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::task;
use tokio::{net::TcpListener, time::Instant};
use uuid::Uuid;

use super::figure::{Figure, per_second};
use crate::import::target::Target;

const REQUESTS: usize = 20_000;
const CONNECTIONS: usize = 256;
/// Streams that the commands are spread over.
const STREAMS: usize = 1_000;
const WAIT_MAX: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"quantity":1,"reference":"bench"}"#;

pub(super) async fn run(rounds: usize, target: &Target) -> Result<()> {
    let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let echo_url = format!("http://{}", echo.local_addr()?);
    let app = Router::new().fallback(|body: Bytes| async move { body });
    let server = task::spawn("echo", async move { axum::serve(echo, app).await });
    let echo = Target { command_url: echo_url, ..target.clone() };
    let (mut commands, mut echoes) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        commands.push(load(target).await?);
        echoes.push(load(&echo).await?);
    }
    drop(server);
    Figure::compared("http_commands_per_second", &commands, &echoes, "1/s").print()
}

/// Requests per second.
async fn load(target: &Target) -> Result<f64> {
    let http = reqwest::Client::builder().timeout(WAIT_MAX).build()?;
    // Connections are made and streams are there before the clock starts.
    send(&http, target, STREAMS).await?;
    let began = Instant::now();
    send(&http, target, REQUESTS).await?;
    per_second(REQUESTS, began.elapsed())
}

async fn send(http: &reqwest::Client, target: &Target, count: usize) -> Result<()> {
    stream::iter(0..count)
        .map(|index| async move {
            let stock = index % STREAMS;
            let url = format!("{}/v1/stock/bench-{stock}/receive", target.command_url);
            let request = http.post(url).bearer_auth(&target.operator_key);
            let request = request.header("content-type", "application/json").body(BODY);
            let key = Uuid::new_v4().to_string();
            let response = request.header("idempotency-key", key).send().await?;
            let status = response.status();
            let body = response.bytes().await?;
            ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
            Ok(())
        })
        .buffer_unordered(CONNECTIONS)
        .try_collect()
        .await
}
