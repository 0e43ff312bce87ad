//! What `up` decided: it holds until `down`, so that a later `up` brings back the same stack. Of how
//! many parts it was stays known until `reset`.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::detours::Detours;
use crate::folder::Folder;
use crate::guard::Guard;
use crate::ports::{Ports, Size};
use crate::postgres::{self, SUPERUSER};
use crate::secrets::Secrets;

const FILE: &str = "stack.json";
const SIZE_FILE: &str = "size.json";
pub const DATABASE: &str = "tradewind";
/// The role that migrates, and owns what it makes.
pub const OWNER: &str = "tradewind_migrator";
/// The role that `DATABASE_URL` of a stack's own `dev.env` names. Nobody else's server has it.
pub const READER: &str = "tradewind_reader";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackState {
    pub ports: Ports,
    pub topic: String,
    /// Servers that were there before; `None` where the stack runs its own.
    pub existing: Existing,
    #[serde(default)]
    pub detours: Detours,
    /// Of the one broker, if it is to have one.
    #[serde(default)]
    pub guard: Option<Guard>,
    /// It is meant to live for longer than a test.
    #[serde(default)]
    pub is_lasting: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    pub kafka: Option<String>,
    pub postgres: Option<String>,
}

/// The same database through the eyes of each role.
#[derive(Clone)]
pub struct Databases {
    pub migrator: String,
    pub projector: String,
    pub query: String,
    pub reader: String,
    pub analyst: String,
}

impl StackState {
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(folder: &Folder) -> Result<Option<Self>> {
        let text = folder.read(FILE)?;
        text.map(|text| serde_json::from_str(&text).context("reading stack.json")).transpose()
    }

    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        folder.write_private(FILE, &serde_json::to_string_pretty(self)?)
    }

    /// Forgets all but the size.
    ///
    /// # Errors
    /// When it cannot be read or removed, or the size not be written.
    pub fn put_down(folder: &Folder) -> Result<()> {
        if let Some(state) = Self::read(folder)? {
            folder.write_private(SIZE_FILE, &serde_json::to_string(&state.ports.size())?)?;
        }
        folder.remove(FILE)
    }

    /// That of the stack that is there, or else of the one that was put down last.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn size(folder: &Folder) -> Result<Option<Size>> {
        if let Some(state) = Self::read(folder)? {
            return Ok(Some(state.ports.size()));
        }
        let text = folder.read(SIZE_FILE)?;
        text.map(|text| serde_json::from_str(&text).context("reading size.json")).transpose()
    }

    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let own = || {
            let servers = self.ports.brokers.iter().map(|it| format!("127.0.0.1:{}", it.broker));
            servers.collect::<Vec<_>>().join(",")
        };
        self.existing.kafka.clone().unwrap_or_else(own)
    }

    /// A user that may make databases, on the server's own database or that of an existing server.
    #[must_use]
    pub fn admin_url(&self, secrets: &Secrets) -> String {
        let own =
            || postgres::url(SUPERUSER, &secrets.postgres_admin, self.ports.postgres, "postgres");
        self.existing.postgres.clone().unwrap_or_else(own)
    }

    /// The stack's database: [`DATABASE`], or the one of an existing server's URL.
    #[must_use]
    pub fn databases(&self, secrets: &Secrets) -> Databases {
        self.databases_named(secrets, None)
    }

    /// Another database on the same server.
    ///
    /// An existing server's user serves for all roles: what it may do there is not ours to change.
    #[must_use]
    pub fn databases_named(&self, secrets: &Secrets, name: Option<&str>) -> Databases {
        let url = |user: &str, password: &str, detour: Option<u16>| {
            let port = detour.unwrap_or(self.ports.postgres);
            match (&self.existing.postgres, name) {
                (Some(url), None) => url.clone(),
                (Some(url), Some(name)) => with_database(url, name),
                (None, name) => postgres::url(user, password, port, name.unwrap_or(DATABASE)),
            }
        };
        let Detours { postgres_of_projector, postgres_of_query, .. } = self.detours;
        Databases {
            migrator: url(OWNER, &secrets.postgres_migrator, None),
            projector: url(
                "tradewind_projector",
                &secrets.postgres_projector,
                postgres_of_projector,
            ),
            query: url("tradewind_query", &secrets.postgres_query, postgres_of_query),
            reader: url(READER, &secrets.postgres_reader, None),
            analyst: url("tradewind_analyst", &secrets.postgres_analyst, None),
        }
    }
}

impl Existing {
    /// Servers that the environment names, as far as they are not a stack's own: a shell that has read
    /// `dev.env` names those of a stack.
    ///
    /// # Errors
    /// When a variable is not text.
    pub fn of_environment(folder: &Folder) -> Result<Self> {
        let postgres = variable("DATABASE_URL")?;
        if postgres.as_ref().is_some_and(|url| url.contains(&format!("//{READER}:"))) {
            return Ok(StackState::read(folder)?.map(|state| state.existing).unwrap_or_default());
        }
        Ok(Self { kafka: variable("KAFKA_BOOTSTRAP_SERVERS")?, postgres })
    }
}

/// `postgres://user@host:port/other?options` with the name of another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) = match url.split_once('?') {
        Some((address, options)) => (address, format!("?{options}")),
        None => (url, String::new()),
    };
    let server_end = address.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = address.split_at(server_end);
    let server = rest.split('/').next().unwrap_or(rest);
    format!("{scheme}{server}/{name}{options}")
}

fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn another_database_on_the_same_server() {
        let check = |url, expected| assert_eq!(with_database(url, "x"), expected);
        check("postgres://a:b@h:1/old", "postgres://a:b@h:1/x");
        check("postgres://a:b@h:1/old?sslmode=require", "postgres://a:b@h:1/x?sslmode=require");
        check("postgres://h", "postgres://h/x");
    }
}
