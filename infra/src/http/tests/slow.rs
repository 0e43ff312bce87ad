//! Clients that take their time, take too much, or come in numbers, over real sockets.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::HeaderMap,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{interval, timeout},
};

use super::serving::{Running, ask, assert_status, start_with};
use crate::{
    config,
    http::{client::Proxies, extract::read_body},
    task,
};

/// More than the kernel holds for a client that does not take it.
const LARGE: usize = 16 << 20;
const SOON: Duration = Duration::from_secs(20);

fn impatient() -> config::Http {
    config::Http { client_wait_max: Duration::from_millis(300), ..config::Http::local() }
}

fn start(settings: &config::Http) -> Running {
    let read = async |headers: HeaderMap, body: Body| {
        read_body(&headers, body).await.map(|body| body.len().to_string())
    };
    // Answers while it is still read, as a batch does.
    let both = async |headers: HeaderMap, body: Body| {
        task::spawn("reads", async move { read_body(&headers, body).await.ok() }).detach();
        vec![b'x'; LARGE]
    };
    let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
    let routes = Router::new()
        .route("/large", get(async || vec![b'x'; LARGE]))
        .route("/read", post(read))
        .route("/both", post(both))
        .route("/who", get(who));
    start_with(settings, routes)
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the server hangs up.
async fn rest_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut answer)).await;
    read.expect("the server hangs up").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn status(address: SocketAddr, request: &str) -> String {
    let answer = rest_of(connect(address, request).await).await;
    answer.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn clients_that_take_nothing_give_their_connections_back() {
    let settings =
        config::Http { connections_max: 3, connections_per_address_max: Some(9), ..impatient() };
    let running = start(&settings);
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(ask(running.address, "/large").await);
    }
    let request = "GET /livez HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    assert_eq!(status(running.address, request).await, "200");
}

#[tokio::test]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    let running = start(&impatient());
    let request = "GET /large HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let mut stream = connect(running.address, request).await;
    // Longer than the server waits for a client that takes nothing.
    let (mut pace, mut taken, mut part) =
        (interval(Duration::from_millis(10)), 0, vec![0; 256 << 10]);
    loop {
        pace.tick().await;
        match stream.read(&mut part).await.unwrap() {
            0 => break,
            read => taken += read,
        }
    }
    assert!(taken > LARGE, "{taken}");
}

#[tokio::test]
async fn a_client_that_still_sends_may_take_its_answer_later() {
    let running = start(&impatient());
    let head =
        "POST /both HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 60\r\n\r\n";
    let mut stream = connect(running.address, head).await;
    // Longer than the server waits for a client that does nothing.
    let mut pace = interval(Duration::from_millis(20));
    for _ in 0..60 {
        pace.tick().await;
        stream.write_all(b"a").await.unwrap();
    }
    let answer = rest_of(stream).await;
    assert!(answer.len() > LARGE, "{}", answer.len());
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let running = start(&impatient());
    let mut stream = connect(running.address, "GET /livez HTTP/1.1\r\nhost: test\r\nx: ").await;
    let (mut pace, mut end) = (interval(Duration::from_millis(20)), [0; 1]);
    let cut = async {
        loop {
            tokio::select! {
                _ = stream.read(&mut end) => return,
                _ = pace.tick() => {}
            }
            if stream.write_all(b"a").await.is_err() {
                return;
            }
        }
    };
    timeout(SOON, cut).await.expect("the server hangs up");
}

#[tokio::test]
async fn a_body_that_stops_is_refused() {
    let running = start(&impatient());
    let request = "POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nhalf";
    let answer = rest_of(connect(running.address, request).await).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("urn:tradewind:problem:request_timeout"), "{answer}");
}

#[tokio::test]
async fn a_head_has_at_most_64_kib() {
    let running = start(&config::Http::local());
    let with = |bytes: usize| {
        let value = "x".repeat(bytes);
        format!("GET /who HTTP/1.1\r\nhost: test\r\nconnection: close\r\nx: {value}\r\n\r\n")
    };
    assert_eq!(status(running.address, &with(60 << 10)).await, "200");
    assert_eq!(status(running.address, &with(65 << 10)).await, "431");
    assert_eq!(status(running.address, &with(2 << 20)).await, "431");
    let many = "y: 1\r\n".repeat(101);
    let request = format!("GET /who HTTP/1.1\r\nhost: test\r\n{many}\r\n");
    assert_eq!(status(running.address, &request).await, "431");
}

#[tokio::test]
async fn a_refusal_can_be_read_by_a_client_that_sends_all_first() {
    let running = start(&config::Http::local());
    let body = "x".repeat(4 << 20);
    let length = body.len();
    let request =
        format!("POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}");
    assert_eq!(status(running.address, &request).await, "413");
}

#[tokio::test]
async fn an_address_has_its_share_of_connections_and_no_more() {
    let settings = config::Http { connections_max: 4, ..config::Http::local() };
    let running = start(&settings);
    let request = "GET /who HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut own =
        vec![connect(running.address, request).await, connect(running.address, request).await];
    for stream in &mut own {
        assert_status(stream, 200).await;
    }
    let refused = rest_of(TcpStream::connect(running.address).await.unwrap()).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains("x-content-type-options: nosniff\r\n"), "{refused}");
    let (head, body) = refused.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["status"], &body["code"]), (&429.into(), &"too_many_connections".into()));
    assert!(head.contains(body["trace_id"].as_str().expect("a trace id")), "{refused}");
}

#[tokio::test]
async fn whoever_asks_after_health_is_answered_whatever_holds_the_connections_of_operators() {
    let settings = config::Http { requests_max: 8, ..config::Http::local() };
    let running = start(&settings);
    let mut held = Vec::new();
    for _ in 0..8 {
        // As other nodes keep theirs open between two requests.
        let mut stream = ask(running.ops, "/livez").await;
        assert_status(&mut stream, 200).await;
        held.push(stream);
    }
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    for _ in 0..20 {
        assert_eq!(status(running.ops, &request("/livez")).await, "200");
        assert_eq!(status(running.ops, &request("/readyz")).await, "200");
    }
    assert_eq!(status(running.ops, &request("/metrics")).await, "503");
    // Nor do those that come on top and say nothing.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect(running.ops, "").await);
    }
    assert_eq!(status(running.ops, &request("/livez")).await, "200");
    drop(held);
    let whole = async {
        while status(running.ops, "GET /metrics HTTP/1.1\r\nconnection: close\r\nhost: x\r\n\r\n")
            .await
            != "200"
        {}
    };
    timeout(SOON, whole).await.expect("there is room again");
}

#[tokio::test]
async fn a_trusted_proxy_may_have_all_connections() {
    let trusted_proxies = Proxies::parse("127.0.0.0/8").unwrap();
    let settings = config::Http { connections_max: 4, trusted_proxies, ..config::Http::local() };
    let running = start(&settings);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = ask(running.address, "/who").await;
        assert_status(&mut stream, 200).await;
        open.push(stream);
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_says_who_asks() {
    let request = "GET /who HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                   x-forwarded-for: 192.0.2.1, 198.51.100.7\r\n\r\n";
    for (trusted, who) in [("none", "127.0.0.1"), ("127.0.0.1", "198.51.100.7")] {
        let trusted_proxies = Proxies::parse(trusted).unwrap();
        let running = start(&config::Http { trusted_proxies, ..config::Http::local() });
        let answer = rest_of(connect(running.address, request).await).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{who}")), "{answer}");
    }
}
