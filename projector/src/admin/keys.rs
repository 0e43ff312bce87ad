//! Checks issued API keys for the operators' endpoints, by the read model that this very service keeps.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use infra::{
    auth::{API_KEYS, Authenticator, IssuedKeys, KeyHash},
    clock::Clock,
    freshness::{Freshness, PositionWatcher, Projection, Reads},
    http::{headers::AtLeast, health::Readiness, problem::Problem},
    postgres::{Listener, POSITIONS_CHANNEL, Pool},
};

const PROJECTIONS: &[Projection] = &[API_KEYS];
const VIEWS: [&str; 3] = ["api_keys", "parked_streams", "positions"];

/// The keys as far as they are known, and the watcher that keeps them fresh.
pub(crate) struct Keys {
    freshness: Freshness,
    watcher: PositionWatcher,
    listener: Listener,
    pool: Pool,
}

impl Keys {
    /// `listening` has a connection of its own.
    #[must_use]
    pub(crate) fn new(pool: Pool, listening: Pool) -> Self {
        // The condition stays out of `/readyz`: a projector is ready before its read models are there.
        let condition = Readiness::new().condition("read_models");
        let reads = Reads { projections: PROJECTIONS, views: VIEWS.into() };
        let (watcher, applied) = PositionWatcher::new(pool.clone(), reads, condition);
        let listener = Listener::new(listening, POSITIONS_CHANNEL);
        Self { freshness: Freshness::new(applied), watcher, listener, pool }
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

    /// Follows how far the read model is, until all receivers are gone.
    pub(crate) async fn run(self) {
        let Self { watcher, listener, freshness, pool } = self;
        drop((freshness, pool));
        watcher.run(listener).await;
    }
}

/// Refuses requests with a position that cannot be. None of these endpoints waits for one that can.
pub(super) async fn admit(
    State(freshness): State<Freshness>,
    at_least: AtLeast,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    freshness.admit(PROJECTIONS, &at_least)?;
    Ok(next.run(request).await)
}
