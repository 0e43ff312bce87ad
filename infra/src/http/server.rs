//! The server that carries a service's routes, from binding its ports to draining them.

mod connections;
mod front;
mod slots;
mod steady;
mod worded;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, http::header, middleware::map_response, response::Response, routing::get};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    net::{TcpListener, TcpSocket},
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::info;
use utoipa_axum::router::OpenApiRouter;

use super::{
    docs::{self, About},
    edge::{self, EdgeLayer, Limits, other_method, other_path},
    health::Readiness,
    negotiate::Produced,
};
use crate::{
    config::{self, Origins},
    shutdown::Shutdown,
    task,
    telemetry::metric,
};
use connections::{Bounds, Connections};
use front::Front;

pub use connections::StillOpen;
pub(super) use steady::Stalled;

/// Connections that the kernel holds until they are accepted; it refuses more.
const BACKLOG: u32 = 4096;
/// Bytes of an answer that the kernel holds for a client that is slow to take them. It bounds what a
/// client costs, and how much it has to take for the server to see that it goes on.
const SEND_BUFFER_BYTES: u32 = 256 << 10;
/// How often observations are drained when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// A service's routes with everything around them: those of clients, and those of operators and
/// other nodes, who have a listener of their own.
#[derive(Clone, Debug)]
pub struct App {
    router: Router,
    ops: Router,
    readiness: Readiness,
}

impl App {
    /// `api`'s routes under the limits; beside them health and documentation, which answer under
    /// overload, too. Operators find health and metrics on their own listener.
    #[must_use]
    pub fn new(about: &About, api: OpenApiRouter, readiness: Readiness, limits: Limits) -> Self {
        metric::install();
        let (api, contract) = api.split_for_parts();
        let contract = docs::complete(contract, about);
        let router = api
            .fallback(other_path)
            .method_not_allowed_fallback(other_method)
            .layer(EdgeLayer::new(limits).producing(Produced::of(&contract)))
            .merge(polished(readiness.clone().routes()))
            .merge(polished(docs::routes(&contract)))
            // Makes services of all handlers once, and not again for each request.
            .with_state(());
        let ops = readiness.clone().routes().route("/metrics", get(metrics));
        let ops = polished(ops.fallback(other_path));
        Self { router, ops, readiness }
    }

    /// What other nodes ask, on the listener for operations, with limits of its own: clients take
    /// no place from nodes, nor nodes from clients.
    #[must_use]
    pub fn with_internal(self, routes: Router, limits: Limits) -> Self {
        let routes = routes.method_not_allowed_fallback(other_method).layer(EdgeLayer::new(limits));
        Self { ops: self.ops.merge(routes).with_state(()), ..self }
    }

    /// The routes of clients, for tests that need no socket.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The routes of operators and other nodes, for tests that need no socket.
    pub fn ops(&self) -> Router {
        self.ops.clone()
    }
}

/// Routes outside the limits, which answer under overload, too.
fn polished(routes: Router) -> Router {
    let polish = async |mut response: Response| {
        edge::polish(&mut response);
        response
    };
    routes.method_not_allowed_fallback(other_method).layer(map_response(polish))
}

async fn metrics() -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metric::render())
}

/// The bound ports: one for clients, one for operators and other nodes, so that whatever clients do
/// to theirs, the other one answers.
#[derive(Debug)]
pub struct Server {
    clients: Bound,
    ops: Bound,
    of_clients: Bounds,
    of_ops: Bounds,
    origins: Origins,
    drain_wait_max: Duration,
}

#[derive(Debug)]
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
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
    /// An address cannot be bound, and why.
    pub fn bind(settings: &config::Http) -> Result<Self, BindError> {
        let (clients, ops) = (Bound::new(settings.bind)?, Bound::new(settings.ops_bind)?);
        let (of_clients, of_ops) = (Bounds::of_clients(settings), Bounds::of_ops(settings));
        let (origins, drain_wait_max) = (settings.origins.clone(), settings.drain_wait_max);
        Ok(Self { clients, ops, of_clients, of_ops, origins, drain_wait_max })
    }

    /// Where it listens for clients; tells the port where any free one was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.clients.address
    }

    /// Where it listens for operators and other nodes.
    #[must_use]
    pub fn ops_addr(&self) -> SocketAddr {
        self.ops.address
    }

    /// Serves until the shutdown is requested, then drains: not ready, no new connections of
    /// clients, what is under way may finish; meanwhile operators and other nodes are answered, and
    /// in the end they are drained, too.
    ///
    /// # Errors
    /// Connections that were still busy when the drain's time was up.
    pub fn serve(self, app: App, shutdown: Shutdown) -> BoxFuture<'static, Result<(), StillOpen>> {
        async move {
            let Self { clients, ops, drain_wait_max, .. } = self;
            info!("listening to clients on {}", clients.address);
            info!("listening to operators on {}", ops.address);
            let _upkeep = task::spawn("metrics upkeep", upkeep());
            let mut of_clients =
                Connections::new(Front::new(app.router, &self.origins), self.of_clients);
            let mut of_ops = Connections::new(Front::new(app.ops, &Origins::None), self.of_ops);
            tokio::select! {
                () = of_clients.accept(&clients.listener) => {}
                () = of_ops.accept(&ops.listener) => {}
                () = shutdown.requested() => {}
            }
            app.readiness.drain();
            drop(clients.listener);
            let deadline = Instant::now() + drain_wait_max;
            let drained = tokio::select! {
                drained = of_clients.drain(drain_wait_max) => drained,
                () = of_ops.accept(&ops.listener) => Ok(()),
            };
            drop(ops.listener);
            let left = deadline.saturating_duration_since(Instant::now());
            drained.and(of_ops.drain(left).await)
        }
        .boxed()
    }
}

impl Bound {
    fn new(address: SocketAddr) -> Result<Self, BindError> {
        let bound = || -> std::io::Result<_> {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            // A restart need not wait for the connections of the last run to time out.
            socket.set_reuseaddr(true)?;
            // Accepted connections have it from here.
            socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            Ok(Self { address: listener.local_addr()?, listener })
        };
        bound().map_err(|source| BindError { address, source })
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
