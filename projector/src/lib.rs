//! The projector: folds the event log into PostgreSQL read models, each commit exactly once.
//!
//! `projection` says what a read model is, `projections` has one file for each, `runner` carries
//! them through the shards, and `checkpoint` is what makes it exactly once. `admin` and `cli` are the
//! operators' doors. `dead_letters` is where events wait that do not apply. Rebuilding a projection
//! beside the live one will be a room of its own beside these.
//!
//! **Invariant:** nothing here has an effect outside of the read models and the notifications that
//! their transactions send.

mod admin;
mod checkpoint;
pub mod cli;
pub mod dead_letters;
mod metrics;
mod projection;
mod projections;
mod runner;
mod schema;
pub mod settings;
mod startup;
pub mod status;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use infra::{
    http::{
        health::Readiness,
        server::{App, BindError, Server},
    },
    postgres::{InvalidUrl, Pool},
    shutdown::Shutdown,
    task::{GroupFailed, Tasks},
};

use runner::Shared;
use startup::prepare;

pub use settings::Settings;
pub use startup::Source;

/// What ends after the last request has.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// A projector that has bound its port and not yet begun.
pub struct Service {
    settings: Settings,
    source: Source,
    pool: Pool,
    readiness: Readiness,
    server: Server,
    app: App,
}

/// Why a projector cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Postgres(#[from] InvalidUrl),
}

impl Service {
    /// Binds the port. Kafka and PostgreSQL may be away: `run` waits for them.
    ///
    /// # Errors
    /// What a restart would not mend.
    pub fn bind(settings: Settings, source: Source) -> Result<Self, StartError> {
        let pool = runner::pool(&settings.postgres)?;
        let server = Server::bind(&settings.http)?;
        let readiness = Readiness::new();
        let app =
            admin::app(&settings.http, settings.operator_key, pool.clone(), readiness.clone());
        Ok(Self { settings, source, pool, readiness, server, app })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Projects until the shutdown is requested.
    ///
    /// # Errors
    /// What ended it otherwise.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), GroupFailed> {
        let Self { settings, source, pool, readiness, server, app } = self;
        let drain_wait_max = settings.http.drain_wait_max.saturating_add(DRAIN_GRACE);
        // Before anybody can ask whether they hold.
        let (kafka, postgres) = (readiness.condition("kafka"), readiness.condition("postgres"));
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn_critical("http server", server.serve(app, shutdown.clone()));
        tasks.spawn_critical("projections", async move {
            let projections = projections::all();
            let connected = source.connect(&settings.kafka, kafka);
            let prepared = prepare(&pool, &projections, postgres);
            let log = tokio::select! {
                (log, ()) = async { tokio::join!(connected, prepared) } => log,
                () = shutdown.requested() => return Ok(()),
            };
            let shared = Shared::new(log, pool, projections, &settings.projector, &readiness);
            runner::run(Arc::new(shared), shutdown).await
        });
        tasks.run(drain_wait_max).await
    }
}
