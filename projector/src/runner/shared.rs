//! What all shards of a projector have in common.

use std::{collections::BTreeMap, sync::Arc};

use domain::shard::ShardId;
use infra::{
    config,
    http::health::Readiness,
    log::EventLog,
    postgres::{self, InvalidUrl, Pool},
};

use super::{fold::Fold, trouble::Trouble};

pub(crate) struct Shared {
    pub log: Arc<dyn EventLog>,
    pub pool: Pool,
    pub projections: Vec<Arc<dyn Fold>>,
    /// Events of a projection that may be parked in a shard; beyond them it halts there.
    pub parked_events_max: usize,
    /// Shards that cannot read the log.
    pub unreadable: Trouble<ShardId>,
    /// Projections whose batches PostgreSQL does not take now.
    pub postgres: Trouble<(&'static str, ShardId)>,
    /// By projection: the shards in which it does not go on.
    pub halted: BTreeMap<&'static str, Trouble<ShardId>>,
}

impl Shared {
    #[must_use]
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        pool: Pool,
        projections: Vec<Arc<dyn Fold>>,
        settings: &config::Projector,
        readiness: &Readiness,
    ) -> Self {
        let halted = |projection: &Arc<dyn Fold>| {
            let name = projection.name();
            (name, Trouble::none(readiness.condition(name)))
        };
        Self {
            log,
            pool,
            unreadable: Trouble::none(readiness.condition("kafka")),
            postgres: Trouble::none(readiness.condition("postgres")),
            halted: projections.iter().map(halted).collect(),
            projections,
            parked_events_max: settings.parked_events_max,
        }
    }
}

/// How long a transaction may stand idle before the server ends it. A projector that was stopped in
/// the middle of a batch would hold its checkpoint's row, and nobody else could take over.
const TRANSACTION_IDLE_MAX: &str = "5s";

/// Connections for batches.
///
/// # Errors
/// The URL is malformed.
pub(crate) fn pool(settings: &config::Postgres) -> Result<Pool, InvalidUrl> {
    let pool = postgres::pool(settings, "tradewind-projector")?;
    let options = pool.connect_options().as_ref().clone();
    pool.set_connect_options(
        options.options([("idle_in_transaction_session_timeout", TRANSACTION_IDLE_MAX)]),
    );
    Ok(pool)
}
