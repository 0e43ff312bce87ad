//! What `query-api` does for analysts: it asks a query API that runs.

pub mod export;
mod place;
mod reading;
pub mod replay;

use infra::config::{Client, Reader, Settings};

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

/// What was asked for is wrong: asking again gives the same answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
