//! The token that lets a guest come back to a cart: the cart's id and an HMAC of it, so that nothing
//! needs to be stored, and nobody can make one up.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::CartId;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use uuid::Uuid;

/// Bytes of the cart's id, which the token begins with.
const ID_LENGTH: usize = 16;

/// The token of a cart.
#[must_use]
pub fn cart_token(secret: &SecretString, cart: CartId) -> String {
    let mac = mac(secret, cart).finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([cart.uuid().as_bytes(), mac.as_slice()].concat())
}

/// The cart that a token opens, in constant time; `None` if nobody was ever given this token.
#[must_use]
pub fn cart_of_token(secret: &SecretString, token: &str) -> Option<CartId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (id, given) = bytes.split_at_checked(ID_LENGTH)?;
    let cart = CartId::new(Uuid::from_slice(id).ok()?);
    mac(secret, cart).verify_slice(given).is_ok().then_some(cart)
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length, whatever the type says")]
fn mac(secret: &SecretString, cart: CartId) -> Hmac<Sha256> {
    let key = secret.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is fine");
    // The label keeps these tokens apart from whatever else the secret may come to sign.
    mac.update(b"cart:");
    mac.update(cart.uuid().as_bytes());
    mac
}
