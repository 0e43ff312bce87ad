use std::{sync::Arc, time::Duration};

use axum::http::{Request, header, request::Parts};
use domain::shard::{ShardId, shard_of};
use tokio::{sync::watch, time::Instant};

use super::*;
use crate::{
    auth::{ApiKey, Authenticator, Client, KeyHash},
    clock::Clock,
    freshness::{Applied, PositionRow},
    http::{
        headers::{AtLeast, POSITION, PREFER, PreferWait},
        trace::{RequestContext, TraceContext},
    },
    log::Nonce,
    position::Position,
    task,
};

const SIGNING: &str = "what keys are signed with";
const SHARDS: i32 = 2;
const PATIENCE: Duration = Duration::from_secs(2);

/// Nobody has issued any.
struct Nothing;

#[async_trait]
impl IssuedRows for Nothing {
    async fn issued(&self, _: ApiKeyId) -> Result<Option<Issued>, BoxError> {
        Ok(None)
    }
}

/// One key, whatever its id.
struct One(KeyHash);

#[async_trait]
impl IssuedRows for One {
    async fn issued(&self, _: ApiKeyId) -> Result<Option<Issued>, BoxError> {
        let roles = BTreeSet::from([Role::Staff]);
        Ok(Some(Issued::Known(KeyRecord { hash: self.0, roles, expires_at: None, revoked: false })))
    }
}

/// Both shards, applied up to there and level as of a moment ago.
fn applied_up_to(next_offset: i64) -> Applied {
    applied(next_offset, Some(3.0))
}

/// Nobody knows how level, unless told how many seconds ago they were.
fn applied(next_offset: i64, level_seconds: Option<f64>) -> Applied {
    let row = |shard| PositionRow {
        level_seconds,
        end_seconds: Some(1.0),
        shard_count: Some(SHARDS),
        ..PositionRow::sample(API_KEYS, shard, Some(Nonce(7)), next_offset)
    };
    let rows: Vec<_> = (0..SHARDS).map(row).collect();
    Applied::replace(&[API_KEYS], &rows, Instant::now())
}

fn at(shard: ShardId, next_offset: i64) -> Position {
    Position::of(shard, Nonce(7), next_offset)
}

fn request(key: &ApiKey, at: &Position) -> Parts {
    let request = Request::builder()
        .header(header::AUTHORIZATION, format!("Bearer {}", key.expose()))
        .header(POSITION, at.to_string())
        .header(PREFER, "wait=2");
    request.body(()).unwrap().into_parts().0
}

/// As the edge begins a request that a service may take long for.
fn context() -> RequestContext {
    let trace = TraceContext::from_headers(&axum::http::HeaderMap::new());
    RequestContext::new(trace, Instant::now(), Duration::from_mins(1))
}

#[tokio::test(start_paused = true)]
async fn all_waits_of_a_request_end_at_one_moment() {
    let (sender, applied) = watch::channel(applied_up_to(5));
    let freshness = Freshness::new(applied);
    let signing = Some(SecretString::from(SIGNING));
    let keys = IssuedKeys { rows: Nothing, freshness: freshness.clone(), signing };
    let authenticator = Authenticator::new(None, Arc::new(keys), Clock::System, None);
    let key = ApiKey::generate(ApiKeyId::new(Uuid::nil()), &SIGNING.into()).unwrap();
    let shard = shard_of(&key.id.stream(), u32::try_from(SHARDS).unwrap());
    let began = Instant::now();
    let asking = context().scope(async move {
        let parts = request(&key, &at(shard, 6));
        // For the position of the key's shard, then for whether it was issued a moment ago.
        let problem = authenticator.authenticate(&parts).await.unwrap_err();
        assert_eq!((problem.code(), began.elapsed()), ("stale", PATIENCE));
        // And for what it reads, had it come so far.
        let until = PreferWait::from_headers(&parts.headers).until();
        let wanted = AtLeast(at(shard, 9));
        let read = freshness.reach(&[API_KEYS], &wanted, until, Client::Unknown).await;
        assert_eq!((read.unwrap_err().code(), began.elapsed()), ("stale", PATIENCE));
    });
    let asking = task::spawn("a request", asking);
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(1500)).await;
    sender.send_replace(applied_up_to(6));
    asking.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_until_its_shard_is_known_to_be_level_unless_it_is_believed_anyway() {
    let (sender, receiver) = watch::channel(Applied::default());
    let key = ApiKey::generate(ApiKeyId::new(Uuid::nil()), &SIGNING.into()).unwrap();
    let keys = IssuedKeys {
        rows: One(key.hash),
        freshness: Freshness::new(receiver),
        signing: Some(SecretString::from(SIGNING)),
    };
    let authenticator = Authenticator::new(None, Arc::new(keys), Clock::System, None);
    let shard = shard_of(&key.id.stream(), u32::try_from(SHARDS).unwrap());
    let parts = request(&key, &at(shard, 5));
    let began = Instant::now();
    // Nothing is known at first, then how far the shards are, then a level that is too old.
    let later = [(5, None), (5, Some(60.0)), (5, Some(0.5))];
    let telling = async {
        for (next_offset, level_seconds) in later {
            tokio::time::sleep(PATIENCE / 4).await;
            sender.send_replace(applied(next_offset, level_seconds));
        }
    };
    let (caller, ()) = tokio::join!(authenticator.authenticate(&parts), telling);
    caller.unwrap();
    assert_eq!(began.elapsed(), PATIENCE / 4 * 3);

    // A key that was found a moment ago is believed, so it does not wait for positions that do not come.
    sender.send_replace(applied(5, None));
    tokio::time::advance(Duration::from_secs(3)).await;
    let asked_at = Instant::now();
    authenticator.authenticate(&parts).await.unwrap();
    assert_eq!(asked_at.elapsed(), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(2)).await;
    let asked_at = Instant::now();
    let problem = authenticator.authenticate(&parts).await.unwrap_err();
    assert_eq!((problem.code(), asked_at.elapsed()), ("stale", PATIENCE));
}
