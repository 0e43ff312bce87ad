//! The token that lets a guest come back to a cart: an HMAC of the cart's id, so that nothing
//! needs to be stored.

use axum::http::HeaderName;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::CartId;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

pub const CART_TOKEN: HeaderName = HeaderName::from_static("tradewind-cart-token");

/// The token of a cart.
#[must_use]
pub fn cart_token(secret: &SecretString, cart: CartId) -> String {
    URL_SAFE_NO_PAD.encode(mac(secret, cart).finalize().into_bytes())
}

/// Whether a token is this cart's, in constant time.
#[must_use]
pub fn cart_token_matches(secret: &SecretString, cart: CartId, token: &str) -> bool {
    let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
    mac(secret, cart).verify_slice(&token).is_ok()
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
