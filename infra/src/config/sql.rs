//! How analysts reach the views that are made for them.

use std::time::Duration;

use secrecy::SecretString;

use super::{Reader, duration, postgres::read_url};

crate::settings! {
    /// The database as analysts see it: with the user `tradewind_analyst` and its password.
    URL = "sql.url", "postgres://user:password@host:port/database", None;
    /// A statement of `query-api sql` that runs longer is ended.
    STATEMENT_WAIT_MAX = "sql.statement_wait_max", "a duration from 1s to 60m", Some("60s");
}

/// What `query-api sql` needs to know.
#[derive(Clone, Debug)]
pub struct Sql {
    pub url: SecretString,
    pub statement_wait_max: Duration,
}

impl Sql {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let range = Duration::from_secs(1)..=Duration::from_secs(3_600);
        crate::read_all! {
            url: read_url(reader, &URL),
            statement_wait_max: reader.get_with(&STATEMENT_WAIT_MAX, |text| {
                duration(text).filter(|wait| range.contains(wait))
            }),
        }
    }
}
