//! Keys: who may come in, and what operators' commands show to a service that runs.

use secrecy::{ExposeSecret, SecretString};

use super::{Reader, Setting};
use crate::auth::KeyHash;

/// Shorter secrets could be guessed.
const CART_TOKEN_SECRET_LENGTH_MIN: usize = 32;

crate::settings! {
    /// SHA-256 of a first API key with all roles, so that others can be issued with it. Without it
    /// only issued keys are valid.
    OPERATOR_KEY_SHA256 = "auth.operator_key_sha256", "64 hex digits", None;
    /// Signs the tokens of guests' carts, and API keys, so that one that was made up is known as
    /// such; the same on all nodes. Another secret makes the tokens that are out worthless; keys go
    /// on.
    CART_TOKEN_SECRET = "auth.cart_token_secret", "at least 32 characters, random", None;
    /// Where operators' commands reach a projector; `TRADEWIND_PROJECTOR_URL` is the same.
    PROJECTOR_URL = "client.projector_url", "a URL such as http://127.0.0.1:8082", None;
    /// Where operators' commands reach a command API; `TRADEWIND_COMMAND_URL` is the same.
    COMMAND_URL = "client.command_url", "a URL such as http://127.0.0.1:8080", None;
    /// Where analysts' commands reach a query API; `TRADEWIND_QUERY_URL` is the same.
    QUERY_URL = "client.query_url", "a URL such as http://127.0.0.1:8081", None;
    /// The API key that operators' and analysts' commands show; `TRADEWIND_OPERATOR_KEY` is the same.
    OPERATOR_KEY = "client.operator_key", "an API key with the role operator, or analyst", None;
}

#[derive(Clone, Debug)]
pub struct Auth {
    pub operator_key_sha256: Option<KeyHash>,
    pub cart_token_secret: SecretString,
}

impl Auth {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let operator_key_sha256 = Self::read_operator_key(reader);
        let secret = reader.secret(&CART_TOKEN_SECRET);
        let length = secret.as_ref().map(|secret| secret.expose_secret().chars().count());
        if length.is_some_and(|length| length < CART_TOKEN_SECRET_LENGTH_MIN) {
            return reader.refuse(&CART_TOKEN_SECRET);
        }
        Some(Self { operator_key_sha256: operator_key_sha256?, cart_token_secret: secret? })
    }

    /// For services that know keys, but no carts.
    pub fn read_operator_key(reader: &mut Reader<'_>) -> Option<Option<KeyHash>> {
        reader.optional_with(&OPERATOR_KEY_SHA256, |text| text.parse().ok())
    }
}

#[derive(Clone, Debug)]
pub struct Client {
    /// Of the service, without a slash at its end.
    pub url: String,
    pub operator_key: SecretString,
}

impl Client {
    pub fn of_projector(reader: &mut Reader<'_>) -> Option<Self> {
        Self::read(reader, &PROJECTOR_URL)
    }

    pub fn of_command_api(reader: &mut Reader<'_>) -> Option<Self> {
        Self::read(reader, &COMMAND_URL)
    }

    pub fn of_query_api(reader: &mut Reader<'_>) -> Option<Self> {
        Self::read(reader, &QUERY_URL)
    }

    fn read(reader: &mut Reader<'_>, url: &'static Setting) -> Option<Self> {
        // One environment tells the commands of all services.
        reader.leave([&PROJECTOR_URL, &COMMAND_URL, &QUERY_URL]);
        let url = reader.get_with(url, |text| {
            let url = text.trim_end_matches('/');
            (url.starts_with("http://") || url.starts_with("https://")).then(|| url.to_owned())
        });
        let operator_key = reader.secret(&OPERATOR_KEY);
        Some(Self { url: url?, operator_key: operator_key? })
    }
}
