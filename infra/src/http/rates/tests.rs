use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroU32, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::{Request, header},
    routing::{get, post},
};
use domain::api_key::{ApiKeyId, Role};
use tokio::time::advance;
use uuid::Uuid;

use super::{
    bucket::{Buckets, CLIENTS_MAX},
    *,
};
use crate::{
    auth::Caller,
    config::{Rate, Rates},
    http::{
        edge::Limits,
        problem::Problem,
        testing::{Answer, app_with, send},
    },
};

const CHECKOUTS: &[Weight] = &[Weight::of("/checkouts", 4), Weight::with("/products", "q", 3)];

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    let number = |number| NonZeroU32::new(number).unwrap();
    Some(Rate { per_second: number(per_second), burst: number(burst) })
}

/// Stands for all that looks at a key: it holds if it begins with `good`, with the role that follows.
async fn judge(State(()): State<()>, request: Request<Body>) -> Result<String, Problem> {
    let (parts, _) = request.into_parts();
    let key = parts.headers.get(header::AUTHORIZATION).map(|key| key.to_str().unwrap());
    let caller = match key {
        None => Ok(Caller::Anonymous { cart: None, address: None }),
        Some(key) if key.starts_with("good") => {
            let role = if key.contains("customer") { Role::Customer } else { Role::Staff };
            let id = ApiKeyId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()));
            Ok(Caller::Key { id, roles: BTreeSet::from([role]).into() })
        }
        Some(key) if key.starts_with("unseen") => Err(Problem::key_unknown_yet()),
        Some(_) => Err(Problem::invalid_key()),
    };
    let ticket = parts.extensions.get::<Ticket>().unwrap();
    ticket.judge(caller).map(|_| "done".to_owned())
}

fn shop(rates: Rates) -> Router {
    let routes = Router::new()
        .route("/products", get(judge))
        .route("/checkouts", post(judge))
        .route("/webhooks", post(async || "taken"))
        .with_state(());
    app_with(routes, Limits { rates, weights: CHECKOUTS, ..Limits::default() })
}

/// A request from an address, with headers.
async fn ask(shop: &Router, from: &str, request: &str, headers: &[(&str, &str)]) -> Answer {
    let (method, path) = request.split_once(' ').unwrap();
    let from = SocketAddr::new(from.parse().unwrap(), 4711);
    let request = Request::builder().method(method).uri(path).extension(ConnectInfo(from));
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(shop, request.body(Body::empty()).unwrap()).await
}

#[track_caller]
fn check(answer: &Answer, status: u16, limit: &str) {
    assert_eq!((answer.status, answer.header("ratelimit")), (status, limit), "{}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_how_it_stands_and_refused_when_its_bucket_is_empty() {
    let shop = shop(Rates { addresses: rate(2, 8), ..Rates::NONE });
    let answer = ask(&shop, "192.0.2.1", "GET /products", &[]).await;
    check(&answer, 200, "\"address\";r=7;t=1");
    assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=8;w=4");
    check(
        &ask(&shop, "192.0.2.1", "GET /products?limit=1&q=tea", &[]).await,
        200,
        "\"address\";r=4;t=2",
    );
    check(&ask(&shop, "192.0.2.1", "POST /checkouts", &[]).await, 200, "\"address\";r=0;t=4");
    let refused = ask(&shop, "192.0.2.1", "POST /checkouts", &[]).await;
    check(&refused, 429, "\"address\";r=0;t=2");
    assert_eq!((refused.code(), refused.header("retry-after")), ("rate_limited", "2"));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    check(&ask(&shop, "192.0.2.2", "GET /products", &[]).await, 200, "\"address\";r=7;t=1");
    advance(Duration::from_secs(2)).await;
    check(&ask(&shop, "192.0.2.1", "POST /checkouts", &[]).await, 200, "\"address\";r=0;t=4");
}

#[tokio::test(start_paused = true)]
async fn many_addresses_of_one_network_are_one_client() {
    let shop = shop(Rates { addresses: rate(1, 2), ..Rates::NONE });
    for (address, status) in [("2001:db8::1", 200), ("2001:db8::2", 200), ("2001:db8::3", 429)] {
        assert_eq!(ask(&shop, address, "GET /products", &[]).await.status, status, "{address}");
    }
    assert_eq!(ask(&shop, "2001:db8:0:1::1", "GET /products", &[]).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_cart_has_a_bucket_and_made_up_tokens_are_of_no_use() {
    let shop = shop(Rates { addresses: rate(1, 9), carts: rate(1, 3), ..Rates::NONE });
    let with = async |token: &str| {
        ask(&shop, "192.0.2.1", "GET /products", &[("tradewind-cart-token", token)]).await
    };
    for r in [2, 1, 0] {
        assert!(with("one").await.header("ratelimit").starts_with(&format!("\"cart\";r={r};")));
    }
    assert_eq!(with("one").await.status, 429);
    // One cart's flood has cost its address no more than was let in.
    for n in 0..6 {
        assert_eq!(with(&format!("made up {n}")).await.status, 200, "{n}");
    }
    check(&with("made up").await, 429, "\"address\";r=0;t=1");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_the_same_client_from_everywhere() {
    let rates =
        Rates { addresses: rate(1, 1), customers: rate(1, 2), keys: rate(1, 3), ..Rates::NONE };
    let shop = shop(rates);
    let with = async |key: &str, address: &str| {
        ask(&shop, address, "GET /products", &[("authorization", key)]).await
    };
    check(&with("good customer", "192.0.2.1").await, 200, "\"customer\";r=1;t=1");
    check(&with("good customer", "192.0.2.2").await, 200, "\"customer\";r=0;t=2");
    check(&with("good customer", "192.0.2.3").await, 429, "\"customer\";r=0;t=1");
    check(&with("good staff", "192.0.2.1").await, 200, "\"key\";r=2;t=1");
}

#[tokio::test(start_paused = true)]
async fn guesses_are_few_and_lock_no_key_out_that_holds() {
    let shop = shop(Rates { unknown_keys: rate(1, 3), ..Rates::NONE });
    let with = async |key: &str| {
        ask(&shop, "192.0.2.1", "GET /products", &[("authorization", key)]).await.status
    };
    assert_eq!(with("good staff").await, 200);
    for (guess, status) in [("wrong", 401), ("wrong", 401), ("another", 429), ("wrong", 429)] {
        assert_eq!(with(guess).await, status, "{guess}");
    }
    for _ in 0..9 {
        assert_eq!(with("good staff").await, 200);
    }
    assert_eq!(with("good newcomer").await, 429);
    advance(Duration::from_secs(1)).await;
    assert_eq!(with("good newcomer").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_can_judge_is_no_guess_and_its_address_asks() {
    let shop = shop(Rates { unknown_keys: rate(1, 2), addresses: rate(1, 9), ..Rates::NONE });
    let with =
        async |key: &str| ask(&shop, "192.0.2.1", "GET /products", &[("authorization", key)]).await;
    for r in (0..9).rev() {
        let limit = format!("\"address\";r={r};t={}", 9 - r);
        // The same one again, or always another.
        let key = if r % 2 == 0 { "unseen".to_owned() } else { format!("unseen {r}") };
        check(&with(&key).await, 503, &limit);
    }
    check(&with("unseen").await, 429, "\"address\";r=0;t=1");
    for (guess, status) in [("wrong", 401), ("another", 401), ("a third", 429)] {
        assert_eq!(with(guess).await.status, status, "{guess}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_made_up_key_opens_no_way_around_where_nobody_looks_at_it() {
    let shop = shop(Rates { unknown_keys: rate(1, 2), ..Rates::NONE });
    for status in [200, 200, 429] {
        let answer = ask(&shop, "192.0.2.1", "POST /webhooks", &[("authorization", "x")]).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test(start_paused = true)]
async fn buckets_are_bounded() {
    let buckets = Buckets::new("address", rate(1, 1));
    for client in 0..2 * CLIENTS_MAX {
        buckets.take(client, 1).unwrap();
    }
    assert!(buckets.len() <= CLIENTS_MAX, "{}", buckets.len());
}
