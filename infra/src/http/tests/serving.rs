//! The server over real sockets.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use futures_util::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::{
    config,
    http::{
        edge::Limits,
        health::Readiness,
        server::{Server, StillOpen},
        testing::ready_when,
    },
    shutdown::Shutdown,
    task::{self, Task},
};

pub(super) struct Running {
    pub(super) address: std::net::SocketAddr,
    pub(super) ops: std::net::SocketAddr,
    readiness: Readiness,
    shutdown: Shutdown,
    entered: Arc<Notify>,
    leave: Arc<Notify>,
    serving: Task<Result<(), StillOpen>>,
}

/// A server with a route that waits until it may leave.
fn start(settings: &config::Http) -> Running {
    start_with(settings, Router::new())
}

pub(super) fn start_with(settings: &config::Http, routes: Router) -> Running {
    let server = Server::bind(settings).unwrap();
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let wait = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        async move || {
            entered.notify_one();
            leave.notified().await;
            "done"
        }
    };
    let routes = routes.route("/wait", get(wait));
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    let app = ready_when(readiness.clone(), routes, Limits::default());
    let (address, ops) = (server.local_addr(), server.ops_addr());
    let serving = task::spawn("server", server.serve(app, shutdown.clone()));
    Running { address, ops, readiness, shutdown, entered, leave, serving }
}

pub(super) async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The head of an answer begins so.
pub(super) async fn assert_status(stream: &mut TcpStream, status: u16) {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&head), format!("HTTP/1.1 {status}"));
}

#[tokio::test]
async fn what_is_under_way_finishes_before_the_server_ends() {
    let running = start(&config::Http::local());
    let mut stream = ask(running.address, "/wait").await;
    running.entered.notified().await;
    running.shutdown.request();
    // The port is closed as soon as the server drains.
    while TcpStream::connect(running.address).await.is_ok() {
        task::spawn("yield", tokio::task::yield_now()).await.unwrap();
    }
    assert!(!running.readiness.is_ready());
    running.leave.notify_one();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    running.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_drain_has_an_end() {
    let settings = config::Http { drain_wait_max: Duration::ZERO, ..config::Http::local() };
    let running = start(&settings);
    let _stream = ask(running.address, "/wait").await;
    running.entered.notified().await;
    running.shutdown.request();
    let error = running.serving.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "1 connections were still busy after draining for 0ns");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_drain_up() {
    let running = start(&config::Http::local());
    let mut stream = ask(running.address, "/livez").await;
    assert_status(&mut stream, 200).await;
    running.shutdown.request();
    running.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn operators_are_answered_while_clients_have_taken_all_connections() {
    let running = start(&config::Http { connections_max: 1, ..config::Http::local() });
    let _stream = ask(running.address, "/wait").await;
    running.entered.notified().await;
    let mut waiting = ask(running.address, "/livez").await;
    let mut stream = ask(running.ops, "/livez").await;
    assert_status(&mut stream, 200).await;
    assert!(waiting.read(&mut [0; 1]).now_or_never().is_none());
}

#[tokio::test]
async fn operators_are_answered_while_clients_are_drained() {
    let running = start(&config::Http::local());
    let _stream = ask(running.address, "/wait").await;
    running.entered.notified().await;
    running.shutdown.request();
    while running.readiness.is_ready() {
        tokio::task::yield_now().await;
    }
    let mut stream = ask(running.ops, "/readyz").await;
    assert_status(&mut stream, 503).await;
    running.leave.notify_one();
    running.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let running = start(&config::Http::local());
    for settings in [
        config::Http { bind: running.address, ..config::Http::local() },
        config::Http { ops_bind: running.ops, ..config::Http::local() },
    ] {
        let taken = if settings.bind.port() == 0 { running.ops } else { running.address };
        let error = Server::bind(&settings).unwrap_err().to_string();
        let advice = "the port is taken; stop what holds it or choose another";
        assert_eq!(error, format!("cannot listen on {taken}: {advice}"));
    }
}
