//! How the read models are reached.

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Reader, Setting, mistake::is_here, within};

crate::settings! {
    /// The database of the read models, with user and password.
    URL = "postgres.url", "postgres://user:password@host:port/database", None;
    /// Connections of one process; more queries wait. All processes together must stay below the
    /// server's limit.
    CONNECTIONS_MAX = "postgres.connections_max", "a number from 4 to 1000", Some("16");
}

#[derive(Clone, Debug)]
pub struct Postgres {
    pub url: SecretString,
    pub connections_max: u32,
}

impl Postgres {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = read_url(reader, &URL);
        let connections_max = reader.get_with(&CONNECTIONS_MAX, within(4..=1000));
        Some(Self { url: url?, connections_max: connections_max? })
    }

    /// For two pools.
    #[must_use]
    pub fn halves(&self) -> (Self, Self) {
        let half = (self.connections_max / 2).max(1);
        let of =
            |connections_max: u32| Self { connections_max: connections_max.max(1), ..self.clone() };
        (of(half), of(self.connections_max.saturating_sub(half)))
    }

    /// One connection hears notifications; the others work.
    #[must_use]
    pub fn with_listener(&self) -> (Self, Self) {
        let of = |connections_max| Self { connections_max, ..self.clone() };
        (of(1), of(self.connections_max.saturating_sub(1).max(1)))
    }
}

/// The URL of a database, with a word about one that is open to others.
pub(super) fn read_url(reader: &mut Reader<'_>, setting: &'static Setting) -> Option<SecretString> {
    let url = reader.secret(setting)?;
    if !is_url(url.expose_secret()) {
        return reader.refuse(setting);
    }
    if is_exposed(url.expose_secret()) {
        let what = "the password, if only in a hash, and all rows may travel unencrypted to \
                    another machine (sslmode is less than require)";
        reader.expose(setting, what);
    }
    Some(url)
}

fn is_exposed(text: &str) -> bool {
    text.parse::<PgConnectOptions>().is_ok_and(|options| {
        let is_local = options.get_socket().is_some() || is_here(options.get_host());
        let may_be_plain = matches!(
            options.get_ssl_mode(),
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
        );
        !is_local && may_be_plain
    })
}

fn is_url(text: &str) -> bool {
    // sqlx takes any scheme for its own.
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    matches!(scheme, "postgres" | "postgresql") && text.parse::<PgConnectOptions>().is_ok()
}
