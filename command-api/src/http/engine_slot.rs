//! The place where handlers find the engine.

use std::sync::{Arc, OnceLock};

use infra::http::problem::Problem;

use crate::engine::Engine;

/// The engine, once the log has been reached. Until then every command is a 503.
#[derive(Clone, Default)]
pub struct EngineSlot(Arc<OnceLock<Engine>>);

impl EngineSlot {
    /// Opens the doors. Only the first engine counts, which should be one that [`Engine::admitting`] made.
    pub fn fill(&self, engine: Engine) {
        self.0.get_or_init(|| engine);
    }

    /// [`Engine::handed_over`], if there is an engine.
    pub async fn handed_over(&self) {
        if let Some(engine) = self.0.get() {
            engine.handed_over().await;
        }
    }

    pub(super) fn get(&self) -> Result<&Engine, Problem> {
        self.0.get().ok_or_else(|| {
            Problem::unavailable("log_unavailable", "the event log cannot be reached yet")
        })
    }
}
