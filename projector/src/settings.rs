//! What a projector is told.

use infra::{
    auth::KeyHash,
    config::{self, Reader, Setting},
};

const BIND: Setting = config::Http::bind_setting("127.0.0.1:8082");
const OPS_BIND: Setting = config::Http::ops_bind_setting("127.0.0.1:8092");

#[derive(Clone, Debug)]
pub struct Settings {
    pub http: config::Http,
    pub kafka: config::Kafka,
    pub postgres: config::Postgres,
    pub operator_key: Option<KeyHash>,
    pub projector: config::Projector,
    pub log: config::Log,
}

impl config::Settings for Settings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let http = config::Http::read(reader, &BIND, &OPS_BIND);
        let kafka = config::Kafka::read(reader);
        let postgres = config::Postgres::read(reader);
        let operator_key = config::Auth::read_operator_key(reader);
        let projector = config::Projector::read(reader);
        let log = config::Log::read(reader);
        Some(Self {
            http: http?,
            kafka: kafka?,
            postgres: postgres?,
            operator_key: operator_key?,
            projector: projector?,
            log: log?,
        })
    }
}

/// What the commands need that only look at the read models.
#[derive(Clone, Debug)]
pub struct Looking {
    pub postgres: config::Postgres,
}

impl config::Settings for Looking {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { postgres: config::Postgres::read(reader)? })
    }
}

/// What the commands need that ask a projector to do something.
#[derive(Clone, Debug)]
pub struct Asking {
    pub client: config::Client,
}

impl config::Settings for Asking {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { client: config::Client::of_projector(reader)? })
    }
}
