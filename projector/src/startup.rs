//! What a projector waits for before it begins: the log and the tables.

use std::sync::Arc;

use infra::{
    config::{self, Rebuild},
    http::health::Condition,
    log::{EventLog, kafka::KafkaLog},
    postgres::Pool,
    telemetry::{chain, emit},
};

use crate::{
    metrics::{NotConnected, NotPrepared},
    runner::{Fold, RETRY},
    schema,
};

/// Where the log is.
pub enum Source {
    /// In Kafka, as the settings say.
    Kafka,
    /// Here, for tests.
    Given(Arc<dyn EventLog>),
}

impl Source {
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
                    emit(NotConnected { error: &error });
                    waits.wait().await;
                }
            }
        }
    }
}

/// Makes the tables that are missing, however long PostgreSQL is away.
pub(crate) async fn prepare(
    pool: &Pool,
    projections: &[Arc<dyn Fold>],
    rebuild: Rebuild,
    condition: Condition,
) {
    let mut waits = RETRY.waits();
    while let Err(error) = schema::ensure(pool, projections, rebuild).await {
        condition.unmet(schema::explain(&error));
        emit(NotPrepared { error: &error });
        waits.wait().await;
    }
    condition.met();
}
