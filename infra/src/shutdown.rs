//! The request to stop, handed to everything that runs for long.
//!
//! Nothing may depend on it for safety: `kill -9` is safe too.

use tokio_util::sync::CancellationToken;

/// Cheap to clone; all clones hear of the same request.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM and SIGINT request. Call it inside the runtime, once per process.
    ///
    /// # Errors
    /// The operating system refused to install a signal handler.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = Self::new();
        let requested = shutdown.clone();
        crate::task::spawn("signals", async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "got {name}, shutting down");
            requested.request();
        })
        .detach();
        Ok(shutdown)
    }

    pub fn request(&self) {
        self.0.cancel();
    }

    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for the request; safe to drop and to call again.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// One that this one's request reaches, but whose own request stays below.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_clones_and_children_but_not_the_parent() {
        let parent = Shutdown::new();
        let (clone, child) = (parent.clone(), parent.child());
        child.request();
        assert!(child.is_requested());
        assert!(!parent.is_requested());
        parent.request();
        clone.requested().await;
    }
}
