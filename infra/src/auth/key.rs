//! The text of an API key, `tw_<id>_<secret>`, and its hash.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::ApiKeyId;
use rand::{TryRngCore, rngs::OsRng};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

const PREFIX: &str = "tw_";
const ID_LENGTH: usize = 32;
/// 32 bytes in base64 without padding.
const SECRET_LENGTH: usize = 43;

/// A new key. Its text is shown once; only its hash is kept.
#[derive(Debug)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub text: SecretString,
    pub hash: KeyHash,
}

/// SHA-256 of a key. The key has 256 random bits, so it needs no slow hash.
#[derive(Clone, Copy, Debug)]
pub struct KeyHash([u8; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is a SHA-256 of 64 hex digits")]
pub struct InvalidKeyHash;

impl ApiKey {
    /// A key with a fresh random secret from the operating system.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub fn generate(id: ApiKeyId) -> Result<Self, rand::rand_core::OsError> {
        let mut secret = [0_u8; 32];
        OsRng.try_fill_bytes(&mut secret)?;
        let text = format!("{PREFIX}{}_{}", id.uuid().simple(), URL_SAFE_NO_PAD.encode(secret));
        let hash = KeyHash::of(&text);
        Ok(Self { id, text: SecretString::from(text), hash })
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The id inside a key's text, if the text has the shape of a key.
    ///
    /// By position, not by separator: the secret may contain `_` itself.
    pub(super) fn id_of(text: &str) -> Option<ApiKeyId> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_at_checked(ID_LENGTH)?;
        let secret = rest.strip_prefix('_')?;
        let wellformed = secret.len() == SECRET_LENGTH
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let id = Uuid::try_parse(id).ok()?;
        wellformed.then(|| ApiKeyId::new(id))
    }
}

impl KeyHash {
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyHash {
    type Err = InvalidKeyHash;

    fn from_str(text: &str) -> Result<Self, InvalidKeyHash> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(InvalidKeyHash);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit =
                |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or(InvalidKeyHash)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
