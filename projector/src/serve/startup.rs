//! What a projector waits for before it begins: the log and the tables.
//!
//! Each of its projections has a version. The first one is live at once. A release that makes other rows of
//! the same events builds a version of its own beside the live one, which goes on being read.

use std::sync::Arc;

use infra::{
    config::{self, Rebuild},
    http::health::Condition,
    log::{
        EventLog,
        kafka::KafkaLog,
        progress::{Progress, ProgressError},
    },
    postgres::{Pool, errors::code},
    telemetry::chain,
};
use read_models::Projection;
use secrecy::SecretString;
use sqlx::PgConnection;
use tracing::{info, warn};

use crate::{
    apply::RETRY,
    rebuild::{
        Refused,
        tables::{RebuildRequest, begin, begin_live, remove},
    },
    store::{
        analytics,
        versions::{Version, VersionState, locked},
        views,
    },
};

/// Where the log is.
pub enum Source {
    /// In Kafka, as the settings say.
    Kafka,
    /// Here, for tests.
    Given(Arc<dyn EventLog>),
}

/// The consumer group whose offsets tell ordinary tools how far the live projections are.
const GROUP: &str = "tradewind.projector";

impl Source {
    /// Where lag is told to ordinary tools.
    pub(crate) fn progress(&self, kafka: &config::Kafka) -> Result<Progress, ProgressError> {
        match self {
            Self::Kafka => Progress::open(kafka, GROUP, &kafka.topic),
            Self::Given(_) => Ok(Progress::in_memory()),
        }
    }

    /// The log, however long Kafka is away.
    pub(crate) async fn connect(
        self,
        kafka: &config::Kafka,
        condition: Condition,
    ) -> Arc<dyn EventLog> {
        if let Self::Given(log) = self {
            return log;
        }
        let mut waits = RETRY.waits();
        loop {
            match KafkaLog::connect(kafka, &kafka.topic).await {
                Ok(log) => return Arc::new(log),
                Err(error) => {
                    condition.unmet(chain(&error).to_string());
                    warn!("cannot open the log yet: {}", chain(&error));
                    waits.wait().await;
                }
            }
        }
    }
}

/// What this release has, as an operator wants it.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'p> {
    pub projections: &'p [Projection],
    /// Those that are not to be kept.
    pub left_off: &'p [&'static str],
}

/// Makes the tables that are missing, and removes those that are not to be kept, however long PostgreSQL is away.
pub(crate) async fn prepare(
    pool: &Pool,
    kept: Kept<'_>,
    rebuild: Rebuild,
    pseudonym_key: Option<&SecretString>,
    condition: Condition,
) {
    let mut waits = RETRY.waits();
    while let Err(error) = ensure(pool, kept, rebuild, pseudonym_key).await {
        condition.unmet(explain(&error));
        warn!("cannot make the tables yet: {}", chain(&error));
        waits.wait().await;
    }
    condition.met();
}

/// Held by whoever creates tables: several projectors may start at once.
const LOCK: i64 = 0x7472_6164_6577;

async fn ensure(
    pool: &Pool,
    Kept { projections, left_off }: Kept<'_>,
    rebuild: Rebuild,
    pseudonym_key: Option<&SecretString>,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    if let Some(key) = pseudonym_key {
        analytics::keep_key(&mut tx, key).await?;
    }
    for projection in projections {
        // From here on nobody switches: what is shown stays what is live.
        let versions = locked(&mut tx, projection.name).await?;
        ensure_one(&mut tx, projection, &versions, rebuild).await?;
    }
    for name in left_off {
        for version in locked(&mut tx, name).await? {
            remove(&mut tx, &version).await?;
            let Version { projection, version, .. } = version;
            info!(
                projection,
                version, "{projection} v{version} is not kept any more: its rows are gone"
            );
        }
    }
    tx.commit().await
}

async fn ensure_one(
    tx: &mut PgConnection,
    projection: &Projection,
    versions: &[Version],
    rebuild: Rebuild,
) -> Result<(), sqlx::Error> {
    let Some(newest) = versions.iter().map(|version| version.fold).max() else {
        return begin_live(tx, projection).await;
    };
    let mut is_fed = false;
    for version in versions.iter().filter(|version| version.fold == projection.version) {
        is_fed = true;
        // Names of views and columns may change while the rows stay what they are.
        let are_new = views::keep(tx, projection, version).await?;
        if version.state == VersionState::Live && are_new {
            views::show(tx, version, None).await?;
        }
    }
    if is_fed {
        return Ok(());
    }
    // An older release that starts once more must not undo what a newer one has begun.
    if rebuild == Rebuild::Auto && projection.version > newest {
        let request = RebuildRequest { switch: true, ..RebuildRequest::default() };
        match begin(tx, projection, request).await {
            Ok(_) => return Ok(()),
            Err(Refused::Database(error)) => return Err(error),
            // Another release builds; this one is told below that nothing of it is fed.
            Err(_) => {}
        }
    }
    let (projection, fold) = (projection.name, projection.version);
    warn!(
        projection,
        "no version of {projection} is made by this release (fold {fold}), so this projector does \
         not feed it: `projector rebuild {projection}` makes one"
    );
    Ok(())
}

/// What operators can do about it.
fn explain(error: &sqlx::Error) -> &'static str {
    match code(error).as_deref() {
        Some("3F000" | "42P01" | "42703") => "the database has not been migrated",
        Some("42501") => "the database's user lacks a permission; migrate the database",
        Some(_) => "PostgreSQL refuses to make the tables; the log says why",
        None => "PostgreSQL does not answer",
    }
}
