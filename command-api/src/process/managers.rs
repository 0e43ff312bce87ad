//! What process managers work with.

use std::sync::Arc;

use infra::{
    clock::Clock,
    log::{EventLog, progress::Progress},
};

use crate::{engine::Engine, payment::Desk};

/// Cheap to clone.
#[derive(Clone)]
pub struct Managers {
    pub engine: Engine,
    pub log: Arc<dyn EventLog>,
    pub progress: Progress,
    pub desk: Desk,
    pub clock: Clock,
}
