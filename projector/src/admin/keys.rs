//! Who opens the operators' door: issued API keys, from the read model that this very service keeps.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use infra::{
    auth::{API_KEYS, Authenticator, IssuedKeys, KeyHash},
    clock::Clock,
    freshness::{Feed, Freshness, Projection, Reads},
    http::{headers::AtLeast, health::Readiness, problem::Problem},
    postgres::{Listener, POSITIONS_CHANNEL, Pool},
};

const PROJECTIONS: &[Projection] = &[API_KEYS];
const VIEWS: [&str; 3] = ["api_keys", "parked_streams", "positions"];

/// What the door knows of keys, and what tells it.
pub(crate) struct Keys {
    freshness: Freshness,
    feed: Feed,
    listener: Listener,
    pool: Pool,
}

impl Keys {
    /// `listening` has a connection of its own.
    #[must_use]
    pub(crate) fn new(pool: Pool, listening: Pool) -> Self {
        // Whoever makes the read models is ready before they are there.
        let condition = Readiness::new().condition("read_models");
        let reads = Reads { projections: PROJECTIONS, views: VIEWS.into() };
        let (feed, applied) = Feed::new(pool.clone(), reads, condition);
        let listener = Listener::new(listening, POSITIONS_CHANNEL);
        Self { freshness: Freshness::new(applied), feed, listener, pool }
    }

    pub(super) fn authenticator(&self, operator_key: Option<KeyHash>) -> Authenticator {
        let (rows, freshness) = (self.pool.clone(), self.freshness.clone());
        // Operators' commands are few: each unknown key is waited for as if it were signed.
        let keys = IssuedKeys { rows, freshness, signing: None };
        Authenticator::new(operator_key, std::sync::Arc::new(keys), Clock::System, None)
    }

    pub(super) fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Hears how far the read model is, until nobody asks any more.
    pub(crate) async fn run(self) {
        let Self { feed, listener, freshness, pool } = self;
        drop((freshness, pool));
        feed.run(listener).await;
    }
}

/// Refuses whoever sends a position that cannot be. Nothing behind the door waits for one that can.
pub(super) async fn admit(
    State(freshness): State<Freshness>,
    at_least: AtLeast,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    freshness.admit(PROJECTIONS, &at_least)?;
    Ok(next.run(request).await)
}
