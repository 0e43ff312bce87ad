//! The service: a port, the reads behind it, and what keeps their positions up to date.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use infra::{
    auth::{Authenticator, IssuedKeys},
    clock::Clock,
    config::{self, Replay},
    freshness::{Freshness, PositionWatcher},
    http::{
        edge::Limits,
        headers::PreferWait,
        health::Readiness,
        server::{App, Server},
    },
    postgres::{Listener, POSITIONS_CHANNEL, pool},
    shutdown::Shutdown,
    task::{GroupFailed, Tasks},
};

use crate::{
    read_model::{self, LoaderTasks, ReadModel},
    replay::{Audit, Replays, Source},
    rest::{self, AppState},
    settings::Settings,
};

const NAME: &str = "tradewind-query-api";
/// What ends after the last request has little to do.
const AFTERMATH_WAIT_MAX: Duration = Duration::from_secs(5);

/// A bound query API.
pub struct Service {
    server: Server,
    app: App,
    loaders: LoaderTasks,
    watcher: PositionWatcher,
    listener: Listener,
    /// They would go on for longer than other requests.
    replays_end: Shutdown,
    drain_wait_max: Duration,
}

impl Service {
    /// Takes the port. PostgreSQL may be away: until it answers, `/readyz` says so.
    ///
    /// # Errors
    /// The port cannot be had or the database's URL is malformed.
    pub fn bind(settings: Settings) -> anyhow::Result<Self> {
        let Settings { http, postgres, auth, replay, .. } = settings;
        let server = Server::bind(&http)?;
        let (listening, reading) = postgres.with_listener();
        let listener = Listener::new(pool(&listening, NAME)?, POSITIONS_CHANNEL);
        let reading = pool(&reading, NAME)?;
        let (read_model, loaders) = ReadModel::new(reading.clone());

        let readiness = Readiness::new();
        let condition = readiness.condition("read_models");
        let (watcher, applied) =
            PositionWatcher::new(reading.clone(), read_model::reads(), condition);
        // Keys of a shard that is not known to be level take no place from reads.
        let (freshness, of_keys) = (Freshness::new(applied.clone()), Freshness::new(applied));
        let (rows, signing) = (read_model.clone(), Some(auth.cart_token_secret.clone()));
        let keys = IssuedKeys { rows, freshness: of_keys, signing };
        let authenticator = Authenticator::new(
            auth.operator_key_sha256,
            Arc::new(keys),
            Clock::System,
            Some(auth.cart_token_secret),
        );
        let replays_end = Shutdown::new();
        let audit = Audit::Table(reading.clone());
        let replays = replay.map(|Replay { key, limits, kafka }| {
            Replays::new(Source::Kafka(Box::new(kafka)), key, &limits, audit, replays_end.clone())
        });
        let state = AppState::new(read_model, freshness, authenticator, replays);
        let app = App::new(&rest::ABOUT, rest::routes(state), readiness, limits(&http));
        let drain_wait_max = http.drain_wait_max;
        Ok(Self { server, app, loaders, watcher, listener, replays_end, drain_wait_max })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until the shutdown is requested and what was under way has been answered.
    ///
    /// # Errors
    /// A part failed, or did not end in time.
    pub fn run(self, shutdown: Shutdown) -> BoxFuture<'static, Result<(), GroupFailed>> {
        async move {
            let Self { server, app, loaders, watcher, listener, replays_end, drain_wait_max } =
                self;
            let mut tasks = Tasks::new(shutdown.clone());
            // These end with the last request and the routes, for requests that drain need them.
            for task in loaders {
                tasks.spawn_critical("reads by key", task.map(Ok::<_, Infallible>));
            }
            tasks.spawn_critical("positions", watcher.run(listener).map(Ok::<_, Infallible>));
            let stopping = shutdown.clone();
            let end_replays = async move {
                stopping.requested().await;
                replays_end.request();
                Ok::<_, Infallible>(())
            };
            tasks.spawn_critical("end of replays", end_replays);
            tasks.spawn_critical("http server", server.serve(app, shutdown));
            tasks.run(drain_wait_max + AFTERMATH_WAIT_MAX).await
        }
        .boxed()
    }
}

/// The time that a client lets its request wait for a position comes on top.
fn limits(http: &config::Http) -> Limits {
    let limits = Limits::from(http);
    let request_wait_max = limits.request_wait_max + PreferWait::MAX;
    Limits { request_wait_max, weights: rest::WEIGHTS, ..limits }
}
