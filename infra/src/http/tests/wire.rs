//! What goes over the wire beside what the routes say.

use axum::{Router, http::header, response::IntoResponse, routing::get};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::serving::{Running, start_with};
use crate::{
    config::{self, Origins},
    http::etag::ETag,
};

const CLOSE: &str = "host: test\r\nconnection: close\r\n\r\n";

fn start(origins: Origins) -> Running {
    let text = |bytes: usize| async move { (ETag(7), "x".repeat(bytes)) };
    let ndjson = async || ([(header::CONTENT_TYPE, "application/x-ndjson")], "x".repeat(5000));
    let routes = Router::new()
        .route("/long", get(move || text(5000)))
        .route("/short", get(move || text(1000)))
        .route("/lines", get(async move || ndjson().await.into_response()));
    let settings = config::Http { origins, ..config::Http::local() };
    start_with(&settings, routes)
}

/// The whole answer to what is sent, head and body, on a connection that the server closes.
async fn answer(address: std::net::SocketAddr, sent: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    let end = read.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(read[..end + 2].to_vec()).unwrap();
    (head, read.split_off(end + 4))
}

async fn ask(running: &Running, method: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
    let sent =
        format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
    answer(running.address, &sent).await
}

#[tokio::test]
async fn what_the_library_refuses_is_a_problem_too() {
    let running = start(Origins::None);
    let long = "x".repeat(200 << 10);
    for (sent, status, code) in [
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("G\u{1}T / HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nhost test\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), 400, "malformed_request"),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), 431, "head_too_large"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 431, "head_too_large"),
        (format!("GET /{} HTTP/1.1\r\n{CLOSE}", "x".repeat(8 << 10)), 414, "uri_too_long"),
    ] {
        let (head, body) = answer(running.address, &sent).await;
        let shown = sent.get(..40).unwrap_or(&sent);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {head}");
        assert!(head.contains("content-type: application/problem+json\r\n"), "{shown}: {head}");
        assert!(head.contains("x-content-type-options: nosniff\r\n"), "{shown}: {head}");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()), "{shown}");
        let trace = body["trace_id"].as_str().expect("a trace id");
        assert!(head.contains(trace), "{head}");
    }
}

#[tokio::test]
async fn a_header_that_is_no_list_comes_once() {
    let running = start(Origins::None);
    for name in ["host", "authorization", "content-type", "idempotency-key", "tradewind-cart-token"]
    {
        for path in ["/short", "/livez", "/nowhere"] {
            let (head, body) =
                ask(&running, "GET", path, &format!("{name}: a\r\n{name}: a\r\n")).await;
            assert!(head.starts_with("HTTP/1.1 400 "), "{name} {path}: {head}");
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["code"], "duplicate_header", "{name} {path}");
        }
    }
    let lists = "prefer: wait=1\r\nprefer: wait=2\r\nx-other: a\r\nx-other: b\r\n";
    let (head, _) = ask(&running, "GET", "/short", lists).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_asks() {
    let running = start(Origins::None);
    for (path, accepts, coding) in [
        ("/long", "gzip", Some("gzip")),
        ("/long", "gzip;q=0.5, br", Some("br")),
        ("/long", "zstd", Some("zstd")),
        ("/long", "identity", None),
        ("/long", "gzip;q=0", None),
        ("/short", "gzip", None),
        ("/lines", "gzip", None),
    ] {
        let (head, body) =
            ask(&running, "GET", path, &format!("accept-encoding: {accepts}\r\n")).await;
        let expected = coding.map(|coding| format!("content-encoding: {coding}\r\n"));
        assert_eq!(
            head.contains("content-encoding"),
            expected.as_ref().is_some_and(|line| head.contains(line.as_str())),
            "{path} {accepts}: {head}"
        );
        assert_eq!(head.contains("content-encoding"), coding.is_some(), "{path} {accepts}: {head}");
        if coding.is_some() {
            assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
            assert!(head.contains("etag: \"7\"\r\n"), "{head}");
            assert!(body.len() < 1000, "{}", body.len());
        }
    }
    let (head, _) = ask(&running, "GET", "/long", "").await;
    assert!(head.contains("content-length: 5000\r\n"), "{head}");
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_only_if_they_are_named() {
    let named = start(Origins::These(vec!["https://shop.example".to_owned()]));
    let (head, _) = ask(&named, "GET", "/short", "origin: https://shop.example\r\n").await;
    assert!(head.contains("access-control-allow-origin: https://shop.example\r\n"), "{head}");
    let exposed = head.lines().find(|line| line.starts_with("access-control-expose-headers"));
    assert!(exposed.expect("a line").contains("tradewind-position"), "{head}");
    let preflight = "origin: https://shop.example\r\naccess-control-request-method: PUT\r\n\
                     access-control-request-headers: if-match, idempotency-key\r\n";
    let (head, _) = ask(&named, "OPTIONS", "/short", preflight).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("access-control-allow-headers: if-match, idempotency-key"), "{head}");
    let (head, _) = ask(&named, "GET", "/short", "origin: https://other.example\r\n").await;
    assert!(!head.contains("access-control-allow-origin"), "{head}");
    let nobody = start(Origins::None);
    let (head, _) = ask(&nobody, "OPTIONS", "/short", preflight).await;
    assert!(!head.contains("access-control-allow"), "{head}");
}
