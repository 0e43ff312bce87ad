//! What `query-api` does for analysts: it asks a query API that runs, or PostgreSQL.

pub mod export;
mod place;
mod reading;
pub mod replay;
pub mod sql;

use std::io::ErrorKind;

use infra::config::{Client, Reader, Settings, Sql};

/// What commands need to know.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    pub client: Client,
}

impl Settings for ClientSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        infra::read_all! { client: Client::of_query_api(reader) }
    }
}

/// What commands need to know that ask PostgreSQL.
#[derive(Clone, Debug)]
pub struct SqlSettings {
    pub sql: Sql,
}

impl Settings for SqlSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        infra::read_all! { sql: Sql::read(reader) }
    }
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// By Ctrl-C.
    Stopped,
}

/// What was asked for is wrong: asking again gives the same answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Whether who reads standard output has gone.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.into_iter().any(|error| error.kind() == ErrorKind::BrokenPipe)
}
