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

mod layers;
mod mistake;
mod reader;
mod setting;

// The sections that services share.
mod auth;
mod http;
mod kafka;
mod log;
mod postgres;
mod projector;
mod replay;
mod sql;
mod store;

use std::path::PathBuf;

pub use auth::{Auth, Client};
pub use http::{Http, Origins, Rate, Rates};
pub use kafka::{
    Compression, Kafka, KafkaClientKey, KafkaOAuth, KafkaProtocol, KafkaSasl, KafkaSecurity,
    KafkaTls,
};
pub use layers::{Layers, LocalStack};
pub use log::{Log, LogFormat};
pub use mistake::{EXIT_CODE, Exposures, Mistakes};
pub use postgres::Postgres;
pub use projector::{Projector, Rebuild};
pub use reader::{Effective, Loaded, Reader, Settings, reference};
pub use replay::{Replay, ReplayLimits};
pub use setting::{Setting, bytes, duration, within};
pub use sql::Sql;
pub use store::{S3, S3Credentials, SnapshotLocation, Snapshots, Store};

#[cfg(test)]
mod tests;

/// The arguments that every binary takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Read settings from this TOML file; the environment overrides it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print the effective settings, secrets masked, and exit
    #[arg(long, global = true)]
    pub check_config: bool,
}

impl Args {
    /// Reads all settings; none if they were only to be checked, and are shown with secrets masked.
    ///
    /// # Errors
    /// All mistakes at once; the process should end with [`EXIT_CODE`].
    #[expect(clippy::print_stdout, reason = "this is the command line's output")]
    pub fn load<S: Settings>(&self, stack: LocalStack) -> Result<Option<Loaded<S>>, Mistakes> {
        let loaded = Layers::of_process(self.config.as_deref(), stack)?.load()?;
        if self.check_config {
            print!("{}", loaded.effective);
            return Ok(None);
        }
        Ok(Some(loaded))
    }
}
