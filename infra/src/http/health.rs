//! Whether a service can serve: `/livez` and `/readyz`.
//!
//! Alive is a process that answers. Ready is one whose conditions all hold and that is not
//! draining; the answer names each condition that does not hold, and why.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;

/// Where health is asked for.
pub(super) const PATHS: [&str; 2] = ["/livez", "/readyz"];

type Reason = Cow<'static, str>;

/// The conditions of one service. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Why a condition does not hold; `None` if it does.
    conditions: BTreeMap<&'static str, Option<Reason>>,
    draining: bool,
}

/// One condition, for the part that knows whether it holds.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

/// The answer of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Report {
    pub ready: bool,
    pub reasons: Vec<Unmet>,
}

/// A condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Unmet {
    #[schema(value_type = String)]
    pub condition: &'static str,
    #[schema(value_type = String)]
    pub reason: Reason,
}

impl Readiness {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition, which does not hold until somebody says so.
    #[must_use]
    pub fn condition(&self, name: &'static str) -> Condition {
        let condition = Condition { name, readiness: self.clone() };
        condition.unmet("starting");
        condition
    }

    /// From now on not ready, whatever holds: no new requests, please.
    pub fn drain(&self) {
        self.state().draining = true;
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.report().ready
    }

    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.state();
        let draining = state.draining.then_some(("server", Cow::Borrowed("draining")));
        let unmet = state.conditions.iter();
        let unmet = unmet.filter_map(|(name, reason)| Some((*name, reason.clone()?)));
        let reasons: Vec<_> = draining
            .into_iter()
            .chain(unmet)
            .map(|(condition, reason)| Unmet { condition, reason })
            .collect();
        Report { ready: reasons.is_empty(), reasons }
    }

    /// `/livez` and `/readyz`.
    pub(super) fn routes(self) -> Router {
        let ready = move || async move { self.report().into_response() };
        Router::new()
            .route(PATHS[0], get(|| async { Json(serde_json::json!({ "alive": true })) }))
            .route(PATHS[1], get(ready))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    pub fn met(&self) {
        self.set(None);
    }

    pub fn unmet(&self, reason: impl Into<Reason>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<Reason>) {
        self.readiness.state().conditions.insert(self.name, reason);
    }
}

impl IntoResponse for Report {
    fn into_response(self) -> Response {
        let status = if self.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_all_conditions_hold_and_nobody_drains() {
        let readiness = Readiness::new();
        let unmet = |condition, reason: &'static str| {
            let reasons = vec![Unmet { condition, reason: reason.into() }];
            Report { ready: false, reasons }
        };
        let (kafka, shards) = (readiness.condition("kafka"), readiness.condition("shards"));
        kafka.met();
        assert_eq!(readiness.report(), unmet("shards", "starting"));
        shards.met();
        assert!(readiness.is_ready());
        readiness.drain();
        assert_eq!(readiness.report(), unmet("server", "draining"));
    }
}
