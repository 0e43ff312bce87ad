//! Settings: read once at the start, from text to types, with all mistakes told at once.
//!
//! From the weakest to the strongest: built-in defaults, a local stack's `.stack/dev.env`, the
//! file of `--config`, and environment variables `TRADEWIND_<SECTION>__<KEY>`.
//!
//! A service composes its settings of the sections below and reads them through a [`Reader`]; the
//! same declarations make the reference page and the output of `--check-config`.
//!
//! **Invariant:** the environment is read here and nowhere else. **Invariant:** no secret is ever
//! printed: not in a mistake, not by `--check-config`, not by `Debug`.

mod args;
mod exposure;
mod layers;
mod mistake;
mod reader;
mod reference;
mod sections;
mod setting;

pub use args::Args;
pub use exposure::Exposures;
pub use layers::{Layers, LocalStack};
pub use mistake::{EXIT_CODE, Mistakes};
pub use reader::{Effective, Loaded, Reader, Settings, bytes, duration};
pub use reference::reference;
pub use sections::{
    Auth, Client, Http, Kafka, KafkaProtocol, KafkaSasl, KafkaSecurity, Log, LogFormat, Origins,
    Postgres, Projector, Rate, Rates, Rebuild, S3, S3Credentials, SnapshotLocation, Snapshots,
    Store,
};
pub use setting::Setting;

#[cfg(test)]
mod tests;
