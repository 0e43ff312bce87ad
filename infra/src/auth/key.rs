//! What callers show, as text: an API key, `tw_<id>_<secret>`, and its hash; and the token that lets a
//! guest come back to a cart.
//!
//! Half of a key's secret is random; the other half signs it and the id, so that nodes tell a key that
//! somebody made up from one that was issued a moment ago, without asking anybody. The signature opens
//! nothing: what a key opens is decided by its hash in the log.
//!
//! The token of a cart is its id and an HMAC of it, so that nothing needs to be stored, and nobody can make
//! one up.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{api_key::ApiKeyId, id::CartId};
use hmac::{Hmac, Mac};
use rand::{TryRngCore, rngs::OsRng};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::text::{from_hex, hex};

const PREFIX: &str = "tw_";
const ID_LENGTH: usize = 32;
/// 32 bytes in base64 without padding.
const SECRET_LENGTH: usize = 43;
/// The random bytes of a secret; as many sign them.
const RANDOM_BYTES: usize = 16;
/// Bytes of the cart's id, which a token begins with.
const CART_BYTES: usize = 16;

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

fn signature(signing: &SecretString, id: ApiKeyId, random: &[u8]) -> [u8; RANDOM_BYTES] {
    let mac = mac(signing, [b"api-key:", id.uuid().as_bytes(), random]);
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
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for KeyHash {
    type Err = InvalidKeyHash;

    fn from_str(text: &str) -> Result<Self, InvalidKeyHash> {
        let digits = text.to_ascii_lowercase();
        from_hex(digits.as_bytes()).map(Self).ok_or(InvalidKeyHash)
    }
}

/// The token of a cart.
#[must_use]
pub fn cart_token(secret: &SecretString, cart: CartId) -> String {
    let mac = cart_mac(secret, cart).finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([cart.uuid().as_bytes(), mac.as_slice()].concat())
}

/// The cart that a token opens, in constant time; `None` if nobody was ever given this token.
#[must_use]
pub fn cart_of_token(secret: &SecretString, token: &str) -> Option<CartId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (id, given) = bytes.split_at_checked(CART_BYTES)?;
    let cart = CartId::new(Uuid::from_slice(id).ok()?);
    cart_mac(secret, cart).verify_slice(given).is_ok().then_some(cart)
}

fn cart_mac(secret: &SecretString, cart: CartId) -> Hmac<Sha256> {
    mac(secret, [b"cart:", cart.uuid().as_bytes()])
}

/// The first part is a label, which keeps apart what the secret signs.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length, whatever the type says")]
fn mac<const N: usize>(secret: &SecretString, parts: [&[u8]; N]) -> Hmac<Sha256> {
    let key = secret.expose_secret().as_bytes();
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is fine");
    parts.into_iter().fold(mac, |mac, part| mac.chain_update(part))
}
