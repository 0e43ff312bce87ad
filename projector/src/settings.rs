//! The settings of the projector and of its commands.

use infra::{
    auth::KeyHash,
    config::{self, Reader, Setting},
};
use secrecy::SecretString;

const BIND: Setting = config::Http::bind_setting("127.0.0.1:8082");
const OPS_BIND: Setting = config::Http::ops_bind_setting("127.0.0.1:8092");

#[derive(Clone, Debug)]
pub struct Settings {
    pub http: config::Http,
    pub kafka: config::Kafka,
    pub postgres: config::Postgres,
    pub operator_key: Option<KeyHash>,
    pub projector: config::Projector,
    /// Of the pseudonyms that analysts see; none: they see nothing in their place.
    pub pseudonym_key: Option<SecretString>,
    pub log: config::Log,
}

impl config::Settings for Settings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        infra::read_all! {
            http: config::Http::read(reader, &BIND, &OPS_BIND),
            kafka: config::Kafka::read(reader),
            postgres: config::Postgres::read(reader),
            operator_key: config::Auth::read_operator_key(reader),
            projector: config::Projector::read(reader),
            pseudonym_key: config::Replay::read_key(reader),
            log: config::Log::read(reader),
        }
    }
}

/// What the commands need that only look at the read models.
#[derive(Clone, Debug)]
pub struct StatusSettings {
    pub postgres: config::Postgres,
}

impl config::Settings for StatusSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { postgres: config::Postgres::read(reader)? })
    }
}

/// What the commands need that ask a projector to do something.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    pub client: config::Client,
}

impl config::Settings for ClientSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { client: config::Client::of_projector(reader)? })
    }
}
