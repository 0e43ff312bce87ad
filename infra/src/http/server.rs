//! The server that carries a service's routes, from binding a port to draining it.

mod connections;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, http::header, routing::get};
use tokio::{
    net::{TcpListener, TcpSocket},
    time::{MissedTickBehavior, interval},
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    docs::{self, About},
    edge::{EdgeLayer, Limits},
    events::Listening,
    health::Readiness,
    problem::Problem,
};
use crate::{
    config,
    shutdown::Shutdown,
    task,
    telemetry::{emit, metric},
};
use connections::Connections;

pub use connections::StillOpen;

/// Connections that the kernel holds until they are accepted; it refuses more.
const BACKLOG: u32 = 4096;
/// How often observations are drained when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// A service's routes with everything around them.
#[derive(Clone, Debug)]
pub struct App {
    router: Router,
    readiness: Readiness,
}

impl App {
    /// `api`'s routes under the limits; beside them health, metrics and documentation, which
    /// answer under overload, too.
    #[must_use]
    pub fn new(about: &About, api: OpenApiRouter, readiness: Readiness, limits: Limits) -> Self {
        metric::install();
        let (api, contract) = api.split_for_parts();
        let contract = docs::complete(contract, about);
        let router = api
            .fallback(async || Problem::not_found("there is nothing at this path"))
            .method_not_allowed_fallback(async || Problem::method_not_allowed())
            .layer(EdgeLayer::new(limits))
            .merge(readiness.clone().routes())
            .merge(docs::routes(&contract))
            .route("/metrics", get(metrics))
            // Again, for the routes that came since.
            .method_not_allowed_fallback(async || Problem::method_not_allowed())
            // Makes services of all handlers once, and not again for each request.
            .with_state(());
        Self { router, readiness }
    }

    /// The routes, for tests that need no socket.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

async fn metrics() -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metric::render())
}

/// A bound port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections_max: usize,
    drain_wait_max: Duration,
}

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}{}", advice(.source))]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": the port is taken; stop what holds it or choose another"
        }
        std::io::ErrorKind::PermissionDenied => ": ports below 1024 need a permission",
        _ => "",
    }
}

impl Server {
    /// # Errors
    /// The address cannot be bound, and why.
    pub fn bind(settings: &config::Http) -> Result<Self, BindError> {
        let bound = || -> std::io::Result<_> {
            let socket = match settings.bind {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            // A restart need not wait for the connections of the last run to time out.
            socket.set_reuseaddr(true)?;
            socket.bind(settings.bind)?;
            let listener = socket.listen(BACKLOG)?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) =
            bound().map_err(|source| BindError { address: settings.bind, source })?;
        let (connections_max, drain_wait_max) = (settings.connections_max, settings.drain_wait_max);
        Ok(Self { listener, address, connections_max, drain_wait_max })
    }

    /// Where it listens; tells the port where any free one was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown is requested, then drains: not ready, no new connections, what is
    /// under way may finish.
    ///
    /// # Errors
    /// Connections that were still busy when the drain's time was up.
    pub async fn serve(self, app: App, shutdown: Shutdown) -> Result<(), StillOpen> {
        emit(Listening { address: self.address });
        let _upkeep = task::spawn("metrics upkeep", upkeep());
        let mut connections = Connections::new(app.router, self.connections_max);
        tokio::select! {
            () = connections.accept(&self.listener) => {}
            () = shutdown.requested() => {}
        }
        app.readiness.drain();
        drop(self.listener);
        connections.drain(self.drain_wait_max).await
    }
}

async fn upkeep() {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        metric::upkeep();
    }
}
