//! The key of the pseudonyms that stand for what tells of a person, wherever somebody reads it: in replays,
//! in exports and, hashed there, in SQL. One text has one pseudonym in all of them.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const PURPOSE: &str = "replay pseudonym";
/// Bytes of a block of SHA-256, and what an HMAC mixes into its key for each of its two hashes.
const BLOCK: usize = 64;
const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

/// Makes pseudonyms.
#[must_use]
pub fn hmac(key: &SecretString) -> Hmac<Sha256> {
    derived(key, PURPOSE)
}

/// What hashes that begin with these two blocks make of a text, the second over the first, is what
/// [`hmac`] makes of it.
#[must_use]
pub fn blocks(key: &SecretString) -> [Vec<u8>; 2] {
    let key = sub_key(key, PURPOSE);
    [INNER, OUTER].map(|mixed| {
        let padded = key.iter().copied().chain(std::iter::repeat(0)).take(BLOCK);
        padded.map(|byte| byte ^ mixed).collect()
    })
}

/// A key for one purpose, made of the one that was configured.
#[must_use]
pub fn derived(key: &SecretString, purpose: &str) -> Hmac<Sha256> {
    keyed(&sub_key(key, purpose))
}

fn sub_key(key: &SecretString, purpose: &str) -> Vec<u8> {
    let key = keyed(key.expose_secret().as_bytes());
    key.chain_update(purpose).finalize().into_bytes().to_vec()
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length, whatever the type says")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length is fine")
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    #[test]
    fn two_hashes_over_the_blocks_are_the_hmac() {
        let key = "0123456789abcdef0123456789abcdef".into();
        let [inner, outer] = blocks(&key);
        let first = Sha256::new().chain_update(inner).chain_update("ada").finalize();
        let both = Sha256::new().chain_update(outer).chain_update(first).finalize();
        assert_eq!(both, hmac(&key).chain_update("ada").finalize().into_bytes());
    }
}
