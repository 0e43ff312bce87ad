//! The sections that services share, one file each.

mod auth;
mod client;
mod http;
mod kafka;
mod log;
mod postgres;
mod projector;
mod rates;
mod snapshots;
mod store;

pub use auth::Auth;
pub use client::Client;
pub use http::{Http, Origins};
pub use kafka::{Kafka, KafkaProtocol, KafkaSasl, KafkaSecurity};
pub use log::{Log, LogFormat};
pub use postgres::Postgres;
pub use projector::{Projector, Rebuild};
pub use rates::{Rate, Rates};
pub use snapshots::{S3, S3Credentials, SnapshotLocation, Snapshots};
pub use store::Store;
