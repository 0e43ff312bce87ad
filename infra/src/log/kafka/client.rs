//! What all clients of Kafka have in common.

use std::time::Duration;

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};
use secrecy::ExposeSecret;

use crate::{config, log::BoxError, task};

/// How long a question to the brokers may take.
pub(super) const REQUEST_WAIT_MAX: Duration = Duration::from_secs(5);
/// A client that has had no answer from the brokers for this long may never find them again:
/// librdkafka forgets all brokers, the first ones too, when one that has just started knows of none
/// (its issue 5301).
pub(super) const AWAY_MAX: Duration = Duration::from_secs(3);

/// Connection and security; the creator of a client adds what it is for.
#[expect(clippy::disallowed_methods, reason = "the one place where clients are configured")]
pub(crate) fn base(config: &config::Kafka) -> ClientConfig {
    let mut base = ClientConfig::new();
    base.set("bootstrap.servers", &config.bootstrap_servers)
        .set("client.id", "tradewind")
        .set("security.protocol", config.security.protocol.as_str())
        // A broker that comes back is found again within a second. Half of the first wait is also
        // what a fresh client lets pass between its first connection and the next.
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000")
        // A round trip must not wait for another packet to fill up.
        .set("socket.nagle.disable", "true")
        .set("socket.keepalive.enable", "true")
        .set("log.connection.close", "false");
    if let Some(ca_file) = &config.security.ca_file {
        base.set("ssl.ca.location", ca_file.to_string_lossy());
    }
    if let Some(sasl) = &config.security.sasl {
        base.set("sasl.mechanism", &sasl.mechanism)
            .set("sasl.username", &sasl.username)
            .set("sasl.password", sasl.password.expose_secret());
    }
    base
}

/// Keeps librdkafka's own lines at debug: those who use a client log what matters, once.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// For producers that do not ask what became of a record.
impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(?level, facility, "librdkafka: {message}");
}

pub(super) fn log_error(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, "librdkafka: {reason}");
}

/// The answer to a question that blocks, asked off the async threads.
pub(crate) async fn ask<T, E, Q>(name: &'static str, question: Q) -> Result<T, BoxError>
where
    T: Send + 'static,
    E: Into<BoxError> + Send + 'static,
    Q: FnOnce() -> Result<T, E> + Send + 'static,
{
    task::spawn_blocking(name, question).await?.map_err(Into::into)
}
