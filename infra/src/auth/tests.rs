use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use domain::{id::CartId, shard::ShardId, timestamp::Timestamp};
use secrecy::SecretString;

use tokio::time::Instant;
use tower::ServiceExt;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    http::headers::{CART_TOKEN, POSITION},
    log::Nonce,
    position::{Entry, Position},
};

/// A directory of one key that counts how often it is asked.
struct Directory {
    record: Mutex<Result<Option<KeyRecord>, ()>>,
    /// How old it is what the directory knows.
    age: Mutex<Duration>,
    /// How far it has seen the log.
    seen: Mutex<Option<Entry>>,
    asked: AtomicUsize,
}

#[async_trait]
impl KeyDirectory for Directory {
    async fn find(&self, _: &Inquiry<'_>) -> Result<Found, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let record = self.record.lock().unwrap().clone();
        let record = record.map_err(|()| Unavailable::Away("the database is gone".into()))?;
        let as_of = Instant::now() - *self.age.lock().unwrap();
        Ok(Found { record, as_of, seen: *self.seen.lock().unwrap() })
    }
}

struct Fixture {
    key: ApiKey,
    directory: Arc<Directory>,
    clock: ManualClock,
    authenticator: Authenticator,
}

const SIGNING: &str = "what keys are signed with";
const OPERATOR_KEY: &str = "let me in, I am the operator";
const CARTS_SECRET: &str = "one";
const EXPIRY: Timestamp = Timestamp::from_micros(1_000_000);

fn fixture() -> Fixture {
    let key = ApiKey::generate(ApiKeyId::new(Uuid::from_u128(7)), &SIGNING.into()).unwrap();
    let record = KeyRecord {
        hash: key.hash,
        roles: BTreeSet::from([Role::Staff]),
        expires_at: Some(EXPIRY),
        revoked: false,
    };
    let directory = Arc::new(Directory {
        record: Mutex::new(Ok(Some(record))),
        age: Mutex::default(),
        seen: Mutex::default(),
        asked: AtomicUsize::new(0),
    });
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let operator = Some(KeyHash::of(OPERATOR_KEY));
    let authenticator = Authenticator::new(
        operator,
        Arc::<Directory>::clone(&directory),
        Clock::from(clock.clone()),
        Some(CARTS_SECRET.into()),
    );
    Fixture { key, directory, clock, authenticator }
}

impl Fixture {
    async fn call(&self, authorization: &str) -> Result<Caller, Problem> {
        let request = Request::builder().header(header::AUTHORIZATION, authorization).body(());
        self.authenticator.authenticate(&request.unwrap().into_parts().0).await
    }

    /// With the key and a position in shard 0.
    async fn call_at(&self, next_offset: i64) -> Result<Caller, Problem> {
        let bearer = format!("Bearer {}", self.key.expose());
        let at = Position::of(ShardId::new(0), Nonce(1), next_offset).to_string();
        let request = Request::builder().header(header::AUTHORIZATION, bearer).header(POSITION, at);
        self.authenticator.authenticate(&request.body(()).unwrap().into_parts().0).await
    }

    fn has_seen(&self, next_offset: i64) {
        let entry = Entry { shard: ShardId::new(0), log_id: Nonce(1), next_offset };
        *self.directory.seen.lock().unwrap() = Some(entry);
    }

    async fn call_with_key(&self) -> Result<Caller, Problem> {
        self.call(&format!("Bearer {}", self.key.expose())).await
    }

    fn change(&self, change: impl FnOnce(&mut KeyRecord)) {
        change(self.directory.record.lock().unwrap().as_mut().unwrap().as_mut().unwrap());
    }

    async fn assert_refused(&self) {
        let problem = self.call_with_key().await.unwrap_err();
        assert_eq!((problem.status(), problem.code()), (StatusCode::UNAUTHORIZED, "invalid_key"));
    }
}

#[tokio::test]
async fn an_issued_key_brings_its_roles() {
    let fixture = fixture();
    let caller = fixture.call_with_key().await.unwrap();
    assert_eq!(&*caller.actor(), "key:00000000-0000-0000-0000-000000000007");
    assert_eq!(caller.idempotency_namespace(), Uuid::from_u128(7));
    caller.require(&[Role::Staff]).unwrap();
    let problem = caller.require(&[Role::Operator]).unwrap_err();
    assert_eq!(problem.status(), StatusCode::FORBIDDEN);
    assert_eq!(problem.detail(), "this needs the role `operator`");
}

#[tokio::test]
async fn the_operators_first_key_has_all_roles() {
    let fixture = fixture();
    let caller = fixture.call(&format!("bearer {OPERATOR_KEY}")).await.unwrap();
    assert!(Role::ALL.into_iter().all(|role| caller.has(role)));
    assert_eq!(caller, fixture.call(&format!("Bearer {OPERATOR_KEY}")).await.unwrap());
    assert_eq!(fixture.directory.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_no_key_of_ours_is_refused() {
    let fixture = fixture();
    let other = ApiKey::generate(fixture.key.id, &SIGNING.into()).unwrap();
    for bad in ["Bearer nonsense", "Basic dTpw", "Bearer", "", "Bearer tw_", other.expose()] {
        let problem = fixture.call(bad).await.unwrap_err();
        assert_eq!(problem.code(), "invalid_key", "{bad}");
    }
    assert_eq!(
        fixture.call(&format!("Bearer {}", other.expose())).await.unwrap_err().code(),
        "invalid_key"
    );
}

#[tokio::test]
async fn unknown_revoked_and_expired_keys_are_refused() {
    let fixture = fixture();
    fixture.call_with_key().await.unwrap();
    // Expiry bites at once, although the key is remembered.
    fixture.clock.advance(Duration::from_secs(1));
    fixture.assert_refused().await;
    let fixture = self::fixture();
    fixture.change(|record| record.revoked = true);
    fixture.assert_refused().await;
    let fixture = self::fixture();
    *fixture.directory.record.lock().unwrap() = Ok(None);
    fixture.assert_refused().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_looked_up_once_in_a_while() {
    let fixture = fixture();
    for _ in 0..3 {
        fixture.call_with_key().await.unwrap();
    }
    assert_eq!(fixture.directory.asked.load(Ordering::SeqCst), 1);
    fixture.change(|record| record.revoked = true);
    tokio::time::advance(Duration::from_secs(2)).await;
    fixture.assert_refused().await;
}

#[tokio::test]
async fn a_directory_that_is_away_is_not_the_callers_fault() {
    let fixture = fixture();
    *fixture.directory.record.lock().unwrap() = Err(());
    let problem = fixture.call_with_key().await.unwrap_err();
    assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_believed_five_seconds_while_nobody_can_be_asked_and_no_longer() {
    let fixture = fixture();
    let record = fixture.directory.record.lock().unwrap().clone();
    fixture.call_with_key().await.unwrap();
    *fixture.directory.record.lock().unwrap() = Err(());
    tokio::time::advance(Duration::from_secs(4)).await;
    fixture.call_with_key().await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let problem = fixture.call_with_key().await.unwrap_err();
    assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);

    *fixture.directory.record.lock().unwrap() = record;
    fixture.call_with_key().await.unwrap();
    fixture.change(|record| record.revoked = true);
    tokio::time::advance(Duration::from_secs(2)).await;
    fixture.assert_refused().await;
    *fixture.directory.record.lock().unwrap() = Err(());
    tokio::time::advance(KEY_AGE_MAX).await;
    let problem = fixture.call_with_key().await.unwrap_err();
    assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE, "it was revoked when last seen");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_keys_counts_only_while_it_is_fresh() {
    let fixture = fixture();
    // Found again and again, each time as of the same moment: the directory stands still.
    for age in [0, 2, 4] {
        *fixture.directory.age.lock().unwrap() = Duration::from_secs(age);
        fixture.call_with_key().await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    *fixture.directory.age.lock().unwrap() = Duration::from_secs(6);
    let problem = fixture.call_with_key().await.unwrap_err();
    assert_eq!((problem.status().as_u16(), problem.code()), (503, "stale"));
    *fixture.directory.record.lock().unwrap() = Ok(None);
    let problem = fixture.call_with_key().await.unwrap_err();
    assert_eq!(problem.code(), "stale", "nobody knows that it is unknown");
    *fixture.directory.age.lock().unwrap() = Duration::ZERO;
    fixture.assert_refused().await;
}

#[tokio::test(start_paused = true)]
async fn a_position_is_seen_before_a_key_is_judged_whatever_is_remembered() {
    let fixture = fixture();
    fixture.has_seen(5);
    fixture.call_at(5).await.unwrap();
    fixture.call_at(4).await.unwrap();
    assert_eq!(fixture.directory.asked.load(Ordering::SeqCst), 1);
    fixture.change(|record| record.revoked = true);
    fixture.has_seen(7);
    fixture.call_at(5).await.unwrap();
    assert_eq!(fixture.call_at(6).await.unwrap_err().code(), "invalid_key");
    // It was refused a moment ago, and that is remembered only for those who have seen no more.
    fixture.change(|record| record.revoked = false);
    fixture.assert_refused().await;
    fixture.call_at(7).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_is_remembered_as_none() {
    let fixture = fixture();
    *fixture.directory.record.lock().unwrap() = Ok(None);
    for _ in 0..10 {
        fixture.assert_refused().await;
    }
    assert_eq!(fixture.directory.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_key_is_known_to_be_ours_by_its_text() {
    let (id, signing) = (ApiKeyId::new(Uuid::from_u128(3)), SecretString::from(SIGNING));
    let key = ApiKey::generate(id, &signing).unwrap();
    assert!(ApiKey::is_signed(key.expose(), &signing));
    assert!(!ApiKey::is_signed(key.expose(), &"another".into()));
    let other_id = key.expose().replace("00003_", "00004_");
    let other_secret = format!("{}A", &key.expose()[..key.expose().len() - 1]);
    for bad in [&*other_id, &*other_secret, "", "tw_"] {
        assert!(bad == key.expose() || !ApiKey::is_signed(bad, &signing), "{bad}");
    }
}

#[tokio::test]
async fn without_a_key_one_is_a_guest() {
    let cart = CartId::new(Uuid::from_u128(1));
    let guest = async |token: String| {
        let request = Request::builder().header(CART_TOKEN, token).body(()).unwrap();
        fixture().authenticator.authenticate(&request.into_parts().0).await.unwrap()
    };
    let caller = guest(cart_token(&CARTS_SECRET.into(), cart)).await;
    assert_eq!(&*caller.actor(), "guest");
    assert_eq!(caller.require(&[Role::Customer]).unwrap_err().code(), "unauthenticated");
    assert_eq!(caller, Caller::Anonymous { cart: Some(cart), address: None });
    let nobody = Caller::Anonymous { cart: None, address: None };
    assert_ne!(caller.idempotency_namespace(), nobody.idempotency_namespace());
    assert_eq!(guest("made up".to_owned()).await, nobody);
}

#[test]
fn hashes_keep_their_text_and_keys_their_id() {
    let key = ApiKey::generate(ApiKeyId::new(Uuid::from_u128(9)), &SIGNING.into()).unwrap();
    assert_eq!(key.expose().len(), "tw_".len() + 32 + 1 + 43);
    assert_eq!(ApiKey::id_of(key.expose()), Some(key.id));
    assert!(key.hash.to_string().parse::<KeyHash>().unwrap().matches(&KeyHash::of(key.expose())));
    assert!(!format!("{key:?}").contains(key.expose()));
    let long = "0".repeat(65);
    for bad in ["", "0", &long, &"g".repeat(64)] {
        assert_eq!(bad.parse::<KeyHash>().map(|_| ()), Err(InvalidKeyHash));
    }
}

#[test]
fn a_cart_token_opens_one_cart() {
    let (secret, other) = (SecretString::from("one"), SecretString::from("two"));
    let cart = CartId::new(Uuid::from_u128(1));
    let token = cart_token(&secret, cart);
    assert_eq!(cart_of_token(&secret, &token), Some(cart));
    assert_eq!(cart_of_token(&other, &token), None);
    let foreign = cart_token(&other, cart);
    for bad in ["not base64!", "", "AAAA", &foreign, &format!("{token}AAAA"), &token[1..]] {
        assert_eq!(cart_of_token(&secret, bad), None, "{bad}");
    }
}

#[test]
fn roles_keep_their_names() {
    assert!(Role::ALL.into_iter().all(|role| Role::named(role.as_str()) == Some(role)));
    let names = serde_json::to_value(Role::ALL).unwrap();
    assert_eq!(names, serde_json::json!(Role::ALL.map(Role::as_str)));
}

#[utoipa::path(get, path = "/guests", security((), ("api_key" = [])))]
async fn for_guests() {}

#[utoipa::path(get, path = "/staff", security(("api_key" = ["staff"]), ("api_key" = ["analyst"])))]
async fn for_staff() {}

#[utoipa::path(get, path = "/analysts", security(("api_key" = ["analyst"])))]
async fn for_analysts() {}

#[utoipa::path(get, path = "/mistaken", security(("api_key" = ["staf"])))]
async fn mistaken() {}

#[utoipa::path(get, path = "/forgotten")]
async fn forgotten() {}

#[tokio::test]
async fn a_route_lets_in_whom_its_contract_names_and_operators_where_it_names_nobody() {
    let fixture = fixture();
    let routes = OpenApiRouter::new()
        .routes(routes!(for_guests))
        .routes(routes!(for_staff))
        .routes(routes!(for_analysts))
        .routes(routes!(mistaken))
        .routes(routes!(forgotten))
        .route("/unwritten", axum::routing::get(async || ()));
    let (routes, _) = guard(routes, fixture.authenticator.clone()).split_for_parts();
    let staff = format!("Bearer {}", fixture.key.expose());
    let operator = format!("Bearer {OPERATOR_KEY}");
    for (method, path, expected) in [
        ("GET", "/guests", [200, 200, 200]),
        ("HEAD", "/staff", [401, 200, 200]),
        ("GET", "/staff", [401, 200, 200]),
        ("GET", "/analysts", [401, 403, 200]),
        ("GET", "/mistaken", [401, 403, 200]),
        ("GET", "/forgotten", [401, 403, 200]),
        ("GET", "/unwritten", [401, 403, 200]),
        ("POST", "/forgotten", [405, 405, 405]),
        ("GET", "/nowhere", [404, 404, 404]),
    ] {
        for (key, expected) in [None, Some(&staff), Some(&operator)].into_iter().zip(expected) {
            let request = Request::builder().method(method).uri(path);
            let request = match key {
                Some(key) => request.header(header::AUTHORIZATION, key),
                None => request,
            };
            let answer = routes.clone().oneshot(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.unwrap().status().as_u16(), expected, "{method} {path} with {key:?}");
        }
    }
}
