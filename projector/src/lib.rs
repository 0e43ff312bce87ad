//! The projector: folds the event log into PostgreSQL read models, each commit exactly once.
//!
//! The crate `read_models` says what is folded into what; `runner` carries it through the shards,
//! `rows` reads and writes what comes of it, and `checkpoint` is what makes it exactly once. `versions`
//! are what may stand side by side of one projection, `rebuild` makes them and switches between them,
//! `verify` proves them. `dead_letters` is where events wait that do not apply. `admin` and `cli` are
//! the operators' doors.
//!
//! **Invariant:** nothing here has an effect outside of the read models and the notifications that
//! follow their transactions.

mod admin;
mod checkpoint;
pub mod cli;
pub mod dead_letters;
mod metrics;
mod names;
mod rebuild;
mod rows;
mod runner;
mod schema;
pub mod settings;
mod startup;
pub mod status;
pub mod verify;
pub mod versions;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use infra::{
    http::{
        health::Readiness,
        server::{App, BindError, Server},
    },
    log::progress::{Progress, ProgressError},
    postgres::{InvalidUrl, Pool},
    shutdown::Shutdown,
    task::{self, GroupFailed, TaskFailed, Tasks},
};

use admin::Keys;
use futures_util::{FutureExt, future::BoxFuture};
use read_models::Projection;
use rebuild::{Control, lifecycle};
use runner::{Projector, Shared};
use startup::prepare;
use versions::Watch;

pub use runner::Shards;
pub use settings::Settings;
pub use startup::Source;

/// What ends after the last request has.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// A projector that has bound its port and not yet begun.
pub struct Service {
    settings: Settings,
    source: Source,
    pool: Pool,
    projections: Vec<Projection>,
    versions: Watch,
    progress: Progress,
    shards: Shards,
    readiness: Readiness,
    server: Server,
    app: App,
    keys: Keys,
}

/// Why a projector cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Postgres(#[from] InvalidUrl),
    #[error(transparent)]
    Kafka(#[from] ProgressError),
}

impl Service {
    /// Binds the port. Kafka and PostgreSQL may be away: `run` waits for them.
    ///
    /// # Errors
    /// What a restart would not mend.
    pub fn bind(settings: Settings, source: Source) -> Result<Self, StartError> {
        Self::bind_release(settings, source, read_models::ALL.into())
    }

    /// As a release that has these projections.
    ///
    /// # Errors
    /// As [`Service::bind`].
    pub fn bind_release(
        settings: Settings,
        source: Source,
        projections: Vec<Projection>,
    ) -> Result<Self, StartError> {
        let (listening, working) = settings.postgres.with_listener();
        let (pool, listening) = (runner::pool(&working)?, runner::pool(&listening)?);
        let keys = Keys::new(pool.clone(), listening);
        let server = Server::bind(&settings.http)?;
        let readiness = Readiness::new();
        let versions = Watch::new(pool.clone());
        let control = Control {
            pool: pool.clone(),
            projections: projections.clone().into(),
            versions: versions.clone(),
        };
        let progress = source.progress(&settings.kafka)?;
        let app =
            admin::app(&settings.http, settings.operator_key, &keys, control, readiness.clone());
        Ok(Self {
            settings,
            source,
            pool,
            projections,
            versions,
            progress,
            shards: Shards::Shared,
            readiness,
            server,
            app,
            keys,
        })
    }

    /// Serves these shards.
    #[must_use]
    pub fn serving(self, shards: Shards) -> Self {
        Self { shards, ..self }
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Projects until the shutdown is requested.
    ///
    /// # Errors
    /// What ended it otherwise.
    pub fn run(self, shutdown: Shutdown) -> BoxFuture<'static, Result<(), GroupFailed>> {
        async move {
            let Self { settings, source, pool, projections, versions, .. } = self;
            let Self { progress, shards, readiness, server, app, keys, .. } = self;
            let drain_wait_max = settings.http.drain_wait_max.saturating_add(DRAIN_GRACE);
            // Before anybody can ask whether they hold.
            let (kafka, postgres) = (readiness.condition("kafka"), readiness.condition("postgres"));
            let mut tasks = Tasks::new(shutdown.clone());
            tasks.spawn_critical("http server", server.serve(app, shutdown.clone()));
            tasks.spawn_critical("positions", keys.run().map(Ok::<_, Infallible>));
            tasks.spawn_critical("projections", async move {
                let connected = source.connect(&settings.kafka, kafka);
                let prepared = prepare(&pool, &projections, settings.projector.rebuild, postgres);
                let log = tokio::select! {
                    (log, ()) = async { tokio::join!(connected, prepared) } => log,
                    () = shutdown.requested() => return Ok(()),
                };
                let names = projections.iter().map(|projection| projection.name);
                let shared = Shared::new(log, pool, names, &settings.projector, &readiness);
                let shared = shared.telling(progress);
                let projector = Arc::new(Projector::new(shared, projections, versions));
                project(projector, shards, settings.projector.dead_letters_kept_days, shutdown)
                    .await
            });
            tasks.run(drain_wait_max).await
        }
        .boxed()
    }
}

/// Feeds all versions, takes them from state to state, verifies what is asked to be, and forgets what
/// is old.
async fn project(
    projector: Arc<Projector>,
    shards: Shards,
    kept_days: i32,
    shutdown: Shutdown,
) -> Result<(), TaskFailed> {
    let watch = task::spawn("projection versions", projector.versions.clone().run());
    let lifecycle = lifecycle::run(Arc::clone(&projector), shutdown.clone());
    let lifecycle = task::spawn("rebuilds", lifecycle);
    let verify = verify::run(Arc::clone(&projector), shutdown.clone());
    let verify = task::spawn("verifications", verify);
    let forget = dead_letters::forget_old(projector.shared.pool.clone(), kept_days);
    let _forget = task::spawn("old dead letters", forget);
    let (notices, pool) = (&projector.shared.notices, &projector.shared.pool);
    let ended = tokio::select! {
        ended = async {
            let run = runner::run(Arc::clone(&projector), shards, shutdown);
            tokio::try_join!(run, lifecycle, verify)
        } => ended.map(drop),
        ended = watch => ended.map(drop),
        () = notices.run(pool) => Ok(()),
    };
    // What was written last; if it cannot be told any more, query nodes find out by themselves.
    notices.send(pool).await.ok();
    ended
}
