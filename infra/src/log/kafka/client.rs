//! What all clients of Kafka have in common.

use std::time::Duration;

use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};
use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::refusal::Asked;
use crate::{
    config::{self, KafkaOAuth, KafkaSasl, KafkaTls},
    log::BoxError,
    task,
};

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
    if let Some(tls) = &config.security.tls {
        encrypt(&mut base, tls);
    }
    match &config.security.sasl {
        Some(KafkaSasl::Password { mechanism, username, password }) => {
            base.set("sasl.mechanism", *mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password.expose_secret());
        }
        Some(KafkaSasl::Token(oauth)) => sign_in_by_token(&mut base, oauth),
        None => {}
    }
    base
}

fn encrypt(base: &mut ClientConfig, tls: &KafkaTls) {
    if let Some(ca_file) = &tls.ca_file {
        base.set("ssl.ca.location", ca_file.to_string_lossy());
    }
    let Some(client) = &tls.client else { return };
    base.set("ssl.certificate.location", client.certificate_file.to_string_lossy())
        .set("ssl.key.location", client.key_file.to_string_lossy());
    if let Some(password) = &client.password {
        base.set("ssl.key.password", password.expose_secret());
    }
}

/// librdkafka fetches the token itself, on a thread of each client, and fetches the next one when four
/// fifths of its life are over. What rdkafka offers instead, a callback, is only called where somebody
/// polls the client, and nobody polls those that ask.
fn sign_in_by_token(base: &mut ClientConfig, oauth: &KafkaOAuth) {
    base.set("sasl.mechanism", "OAUTHBEARER")
        .set("sasl.oauthbearer.method", "oidc")
        .set("sasl.oauthbearer.token.endpoint.url", oauth.token_url.as_str())
        .set("sasl.oauthbearer.client.id", &oauth.client_id)
        .set("sasl.oauthbearer.client.secret", oauth.client_secret.expose_secret());
    if let Some(ca_file) = &oauth.ca_file {
        base.set("https.ca.location", ca_file.to_string_lossy());
    }
    if let Some(scope) = &oauth.scope {
        // librdkafka puts it into the form as it is.
        let encoded: String = form_urlencoded::byte_serialize(scope.as_bytes()).collect();
        base.set("sasl.oauthbearer.scope", encoded);
    }
    if let Some(extensions) = &oauth.extensions {
        base.set("sasl.oauthbearer.extensions", extensions);
    }
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

/// For producers that do not ask what became of a record, unless nothing will ever become of one.
impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        let Err((error, message)) = delivered else { return };
        if let Some(denied) = Asked::writing(message.topic()).denied(error) {
            denied.tell();
        }
    }
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
