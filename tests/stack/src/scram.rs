//! What PostgreSQL stores of a password (RFC 5802, 3), made here so that it is hashed once.
//!
//! The usual 4,096 rounds make guessing slow, which 256 random bits do not need. They cost every login: the
//! driver gives way after each five of them, and on a busy runtime each of these 819 times waits until all
//! that is ready has had its turn, for seconds in a build without optimization.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac, digest::InvalidLength};
use sha2::{Digest, Sha256};

/// `SCRAM-SHA-256$<rounds>:<salt>$<stored key>:<server key>`, with one round.
pub(super) fn verifier(password: &str, salt: &[u8]) -> Result<String, InvalidLength> {
    let first_block = [salt, &1_u32.to_be_bytes()].concat();
    let salted = hmac(password.as_bytes(), &first_block)?;
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key")?);
    let server_key = hmac(&salted, b"Server Key")?;
    let [salt, stored_key, server_key] =
        [salt, &stored_key, &server_key].map(|bytes| STANDARD.encode(bytes));
    Ok(format!("SCRAM-SHA-256$1:{salt}${stored_key}:{server_key}"))
}

fn hmac(key: &[u8], text: &[u8]) -> Result<[u8; 32], InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().into())
}
