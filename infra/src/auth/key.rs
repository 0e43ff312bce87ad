//! The text of an API key, `tw_<id>_<secret>`, and its hash.
//!
//! Half of the secret is random; the other half signs it and the id, so that nodes tell a key that
//! somebody made up from one that was issued a moment ago, without asking anybody. The signature opens
//! nothing: what a key opens is decided by its hash in the log.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::api_key::ApiKeyId;
use hmac::{Hmac, Mac};
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
/// The random bytes of a secret; as many sign them.
const RANDOM_BYTES: usize = 16;

/// A new key. Its text is shown once; only its hash is kept.
#[derive(Debug)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub text: SecretString,
    pub hash: KeyHash,
}

/// SHA-256 of a key. The key has 128 random bits or more, so it needs no slow hash.
#[derive(Clone, Copy, Debug)]
pub struct KeyHash([u8; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is a SHA-256 of 64 hex digits")]
pub struct InvalidKeyHash;

impl ApiKey {
    /// A key with a fresh random secret from the operating system, signed with a secret of ours.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub fn generate(
        id: ApiKeyId,
        signing: &SecretString,
    ) -> Result<Self, rand::rand_core::OsError> {
        let mut random = [0_u8; RANDOM_BYTES];
        OsRng.try_fill_bytes(&mut random)?;
        let secret = [random, signature(signing, id, &random)].concat();
        let text = format!("{PREFIX}{}_{}", id.uuid().simple(), URL_SAFE_NO_PAD.encode(secret));
        let hash = KeyHash::of(&text);
        Ok(Self { id, text: SecretString::from(text), hash })
    }

    /// Whether a key's text was signed with this secret: then it was not made up. Keys that were issued
    /// before keys were signed, or under another secret, are not.
    #[must_use]
    pub fn is_signed(text: &str, signing: &SecretString) -> bool {
        let Some(id) = Self::id_of(text) else { return false };
        let secret = text.len().checked_sub(SECRET_LENGTH).and_then(|at| text.get(at..));
        let Ok(secret) = URL_SAFE_NO_PAD.decode(secret.unwrap_or_default()) else { return false };
        let Some((random, signed)) = secret.split_at_checked(RANDOM_BYTES) else { return false };
        signature(signing, id, random).as_slice().ct_eq(signed).into()
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

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length, whatever the type says")]
fn signature(signing: &SecretString, id: ApiKeyId, random: &[u8]) -> [u8; RANDOM_BYTES] {
    let key = signing.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is fine");
    // The label keeps it apart from whatever else the secret signs.
    mac.update(b"api-key:");
    mac.update(id.uuid().as_bytes());
    mac.update(random);
    let whole: [u8; 32] = mac.finalize().into_bytes().into();
    let (half, _) = whole.as_chunks::<RANDOM_BYTES>();
    half[0]
}

impl KeyHash {
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The bytes, for a map of what was refused; keys that are valid are compared with `matches`.
    pub(super) const fn bytes(&self) -> [u8; 32] {
        self.0
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
