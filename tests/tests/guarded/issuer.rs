//! Who issues tokens: the one endpoint of an OpenID provider that clients with a secret need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use infra::task::{self, Task};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

/// For brokers that nobody brings a token to.
pub(crate) const NO_KEYS: &str = r#"{"keys": []}"#;
pub(crate) const SECRET: &str = "secret-of-the-client";
const KEY_BITS: u32 = 2048;

pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) jwks: String,
    desk: Arc<Desk>,
    /// Ends with this.
    _serving: Task<()>,
}

struct Desk {
    key: PKey<Private>,
    life: Duration,
    issued: AtomicUsize,
}

impl Issuer {
    /// Of tokens that live this long.
    pub(crate) async fn start(life: Duration) -> Self {
        let rsa = Rsa::generate(KEY_BITS).expect("a key");
        let (n, e) = (rsa.n().to_vec(), rsa.e().to_vec());
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "tests",
            "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e),
        });
        let key = PKey::from_rsa(rsa).expect("a key");
        let desk = Arc::new(Desk { key, life, issued: AtomicUsize::new(0) });
        let app = Router::new().route("/token", post(token)).with_state(Arc::clone(&desk));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let serving = task::spawn("issuer", async move {
            axum::serve(listener, app).await.expect("requests to serve");
        });
        Self { url, jwks: json!({"keys": [jwk]}).to_string(), desk, _serving: serving }
    }

    pub(crate) fn issued(&self) -> usize {
        self.desk.issued.load(Ordering::SeqCst)
    }
}

async fn token(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let refused = |error: &str| (StatusCode::UNAUTHORIZED, Json(json!({"error": error})));
    let client = client(&headers).ok_or_else(|| refused("invalid_client"))?;
    if body != "grant_type=client_credentials&scope=kafka+tradewind" {
        return Err(refused("invalid_request"));
    }
    desk.issued.fetch_add(1, Ordering::SeqCst);
    let (now, life) = (chrono::Utc::now().timestamp(), desk.life.as_secs());
    let claims = json!({
        "iss": "tests", "sub": client, "aud": "kafka", "scope": "kafka tradewind",
        "iat": now, "exp": now.saturating_add_unsigned(life),
    });
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": "tests"});
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", part(&head), part(&claims));
    let mut signer = Signer::new(MessageDigest::sha256(), &desk.key).expect("a signer");
    let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).expect("a signature");
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    Ok(Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": life})))
}

/// Who asks, if the secret is right.
fn client(headers: &HeaderMap) -> Option<String> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let shown = String::from_utf8(STANDARD.decode(shown).ok()?).ok()?;
    let (client, secret) = shown.split_once(':')?;
    (secret == SECRET).then(|| client.to_owned())
}
