//! The projector: folds the event log into PostgreSQL read models, each commit exactly once.
//!
//! The crate `read_models` says what is folded into what. The rooms, each on top of those before it, which
//! a test holds:
//! - `event` is a commit as it is read; `rows` reads and writes what `fold` makes of events.
//! - `store` is the SQL on schema `projection` that several of these need; its checkpoints are what makes it exactly once.
//! - `apply` is one batch, its transaction, and what does not fit.
//! - `follow` keeps versions level with the log, `rebuild` makes them and switches between them, `verify`
//!   proves them, `settle` is what operators do with events that do not apply. None knows another.
//! - `serve` says who serves what. `admin`, `cli` and `status` are the operators' doors.
//!
//! **Invariant:** nothing here has an effect outside of the read models and the notifications of their
//! transactions.

mod admin;
mod apply;
pub mod cli;
mod event;
mod fold;
mod follow;
mod names;
mod rebuild;
mod rows;
mod serve;
pub mod settings;
mod settle;
pub mod status;
pub mod store;
mod verify;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use infra::{
    freshness::PositionWatcher,
    http::{
        health::Readiness,
        server::{App, Server},
    },
    log::progress::Progress,
    postgres::{Listener, POSITIONS_CHANNEL},
    shutdown::Shutdown,
    task::{self, GroupFailed, TaskFailed, Tasks},
};

use apply::shared::{Pools, Shared};
use futures_util::{FutureExt, future::BoxFuture};
use read_models::{Projection, journal::JOURNAL};
use rebuild::Control;
use serve::{
    groups::Projector,
    lifecycle,
    startup::{Kept, prepare},
};
use store::watch::Watch;
use verify::Verifier;

pub use serve::{Shards, startup::Source};
pub use settings::Settings;

/// What ends after the last request has.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// A projector that has bound its port and not yet begun.
pub struct Service {
    settings: Settings,
    source: Source,
    /// Projections that the settings leave off.
    left_off: Vec<&'static str>,
    pools: Pools,
    control: Control,
    progress: Progress,
    shards: Shards,
    readiness: Readiness,
    server: Server,
    app: App,
    watcher: PositionWatcher,
}

impl Service {
    /// Binds the port. Kafka and PostgreSQL may be away: `run` waits for them.
    ///
    /// # Errors
    /// What a restart would not mend.
    pub fn bind(settings: Settings, source: Source) -> anyhow::Result<Self> {
        Self::bind_release(settings, source, read_models::ALL.into())
    }

    /// As a release that has these projections.
    pub fn bind_release(
        settings: Settings,
        source: Source,
        mut projections: Vec<Projection>,
    ) -> anyhow::Result<Self> {
        let is_left_off =
            |it: &mut Projection| it.name == JOURNAL.name && !settings.projector.journal;
        let left_off = projections.extract_if(.., is_left_off).map(|it| it.name).collect();
        let pools = Pools::new(&settings.postgres)?;
        let server = Server::bind(&settings.http)?;
        let progress = source.progress(&settings.kafka)?;
        let control = Control {
            pool: pools.pool.clone(),
            projections: projections.into(),
            versions: Watch::new(pools.pool.clone()),
        };
        let readiness = Readiness::new();
        let (app, watcher) = admin::app(&settings, control.clone(), readiness.clone());
        Ok(Self {
            settings,
            source,
            left_off,
            pools,
            control,
            progress,
            shards: Shards::Shared,
            readiness,
            server,
            app,
            watcher,
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

    /// Projects until the shutdown is requested, or until something ends it otherwise.
    pub fn run(self, shutdown: Shutdown) -> BoxFuture<'static, Result<(), GroupFailed>> {
        async move {
            let Self { settings, source, pools, control, progress, .. } = self;
            let Self { shards, readiness, server, app, watcher, left_off, .. } = self;
            let Control { projections, versions, .. } = control;
            let drain_wait_max = settings.http.drain_wait_max.saturating_add(DRAIN_GRACE);
            // Before anybody can ask whether they hold.
            let (kafka, postgres) = (readiness.condition("kafka"), readiness.condition("postgres"));
            let mut tasks = Tasks::new(shutdown.clone());
            tasks.spawn_critical("http server", server.serve(app, shutdown.clone()));
            let listener = Listener::new(pools.listening.clone(), POSITIONS_CHANNEL);
            tasks.spawn_critical("positions", watcher.run(listener).map(Ok::<_, Infallible>));
            tasks.spawn_critical("projections", async move {
                let connected = source.connect(&settings.kafka, kafka);
                let kept = Kept { projections: &projections, left_off: &left_off };
                let prepared = prepare(
                    &pools.pool,
                    kept,
                    settings.projector.rebuild,
                    settings.pseudonym_key.as_ref(),
                    postgres,
                );
                let log = tokio::select! {
                    (log, ()) = async { tokio::join!(connected, prepared) } => log,
                    () = shutdown.requested() => return Ok(()),
                };
                let names = projections.iter().map(|projection| projection.name);
                let settings = &settings.projector;
                let shared = Shared::new(log, pools, names, settings, &readiness, progress);
                let projector = Projector::new(shared, projections.to_vec(), versions);
                project(projector.into(), shards, settings.dead_letters_kept_days, shutdown).await
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
    let Shared { log, pool, .. } = projector.shared.clone();
    let verifier = Verifier { log, pool, projections: projector.projections.clone() };
    let verify = task::spawn("verifications", verify::run(verifier, shutdown.clone()));
    let forget = store::letters::forget_old(projector.shared.pool.clone(), kept_days);
    let _forget = task::spawn("old dead letters", forget);
    tokio::select! {
        ended = async {
            let run = serve::run(Arc::clone(&projector), shards, shutdown);
            tokio::try_join!(run, lifecycle, verify)
        } => ended.map(drop),
        ended = watch => ended.map(drop),
    }
}
