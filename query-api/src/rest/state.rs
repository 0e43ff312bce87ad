//! What handlers work with.

use std::sync::Arc;

use axum::extract::FromRef;
use infra::{auth::Authenticator, freshness::Freshness};

use crate::read_model::ReadModel;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Inner>);

struct Inner {
    read_model: ReadModel,
    freshness: Freshness,
    authenticator: Authenticator,
}

impl AppState {
    pub(crate) fn new(
        read_model: ReadModel,
        freshness: Freshness,
        authenticator: Authenticator,
    ) -> Self {
        Self(Arc::new(Inner { read_model, freshness, authenticator }))
    }

    pub(super) fn read_model(&self) -> &ReadModel {
        &self.0.read_model
    }

    pub(super) fn freshness(&self) -> &Freshness {
        &self.0.freshness
    }

    pub(super) fn authenticator(&self) -> Authenticator {
        self.0.authenticator.clone()
    }
}

impl FromRef<AppState> for Authenticator {
    fn from_ref(state: &AppState) -> Self {
        state.authenticator()
    }
}
