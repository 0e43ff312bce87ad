//! The passwords and keys of one local stack: random, made once, kept readable by their owner alone.

use std::fmt::Write;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::folder::Folder;

const FILE: &str = "secrets.json";

#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    pub operator_key: String,
    pub cart_token_secret: String,
    /// By which nodes know each other. Stacks of an earlier release have none yet.
    #[serde(default = "random_hex")]
    pub peer_secret: String,
    /// Signs the webhooks of the sandbox of payments. Stacks of an earlier release have none yet.
    #[serde(default = "random_webhook_secret")]
    pub payment_webhook_secret: String,
    /// Of the pseudonyms and cursors of replays. Stacks of an earlier release have none yet.
    #[serde(default = "random_hex")]
    pub replay_key: String,
    pub postgres_admin: String,
    pub postgres_migrator: String,
    pub postgres_projector: String,
    pub postgres_query: String,
    pub postgres_reader: String,
    /// Stacks of an earlier release have none yet.
    #[serde(default = "random_hex")]
    pub postgres_analyst: String,
}

impl Secrets {
    /// Those of the folder, made now if it has none.
    ///
    /// # Errors
    /// When they cannot be read or kept.
    pub fn of(folder: &Folder) -> Result<Self> {
        let found = folder.read(FILE)?.map(|text| serde_json::from_str(&text)).transpose();
        let found: Option<Self> = found.context("reading secrets.json")?;
        let secrets = found.unwrap_or_else(Self::random);
        folder.write_private(FILE, &serde_json::to_string_pretty(&secrets)?)?;
        Ok(secrets)
    }

    fn random() -> Self {
        Self {
            operator_key: format!("tw_operator_{}", random_hex()),
            cart_token_secret: random_hex(),
            peer_secret: random_hex(),
            payment_webhook_secret: random_webhook_secret(),
            replay_key: random_hex(),
            postgres_admin: random_hex(),
            postgres_migrator: random_hex(),
            postgres_projector: random_hex(),
            postgres_query: random_hex(),
            postgres_reader: random_hex(),
            postgres_analyst: random_hex(),
        }
    }

    #[must_use]
    pub fn operator_key_sha256(&self) -> String {
        hex(&Sha256::digest(&self.operator_key))
    }
}

fn random_hex() -> String {
    hex(&rand::rng().random::<[u8; 24]>())
}

/// As Standard Webhooks writes them.
fn random_webhook_secret() -> String {
    format!("whsec_{}", STANDARD.encode(rand::rng().random::<[u8; 24]>()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "a String takes any text");
        text
    })
}
