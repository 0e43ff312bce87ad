//! What a projector waits for before it begins: the log and the tables.

use std::sync::Arc;

use infra::{
    config::{self, Rebuild},
    http::health::Condition,
    log::{
        EventLog,
        kafka::KafkaLog,
        progress::{Progress, ProgressError},
    },
    postgres::Pool,
    telemetry::chain,
};
use read_models::Projection;
use tracing::warn;

use crate::{runner::RETRY, schema};

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

/// Makes the tables that are missing, however long PostgreSQL is away.
pub(crate) async fn prepare(
    pool: &Pool,
    projections: &[Projection],
    rebuild: Rebuild,
    condition: Condition,
) {
    let mut waits = RETRY.waits();
    while let Err(error) = schema::ensure(pool, projections, rebuild).await {
        condition.unmet(schema::explain(&error));
        warn!("cannot make the tables yet: {}", chain(&error));
        waits.wait().await;
    }
    condition.met();
}
