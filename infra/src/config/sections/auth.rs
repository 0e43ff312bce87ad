//! Who may come in.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    auth::KeyHash,
    config::{Reader, Setting},
};

/// Shorter secrets could be guessed.
const CART_TOKEN_SECRET_LENGTH_MIN: usize = 32;

const OPERATOR_KEY_SHA256: Setting = Setting {
    key: "auth.operator_key_sha256",
    doc: "SHA-256 of a first API key with all roles, so that others can be issued with it. \
          Without it only issued keys are valid.",
    allowed: "64 hex digits",
    default: None,
};
const CART_TOKEN_SECRET: Setting = Setting {
    key: "auth.cart_token_secret",
    doc: "Signs the tokens of guests' carts, and API keys, so that one that was made up is known as \
          such; the same on all nodes. Another secret makes the tokens that are out worthless; keys \
          go on.",
    allowed: "at least 32 characters, random",
    default: None,
};

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
