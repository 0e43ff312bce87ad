//! What this process knows of the versions: read again twice a second, and at once after it has changed
//! something itself.

use std::{mem, sync::Arc, time::Duration};

use infra::{postgres::Pool, telemetry::chain};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tracing::warn;

use super::versions::Version;

/// Until what another process has changed is known here. Nothing depends on it for safety.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Watch {
    pool: Pool,
    known: watch::Sender<Arc<[Version]>>,
    hurry: Arc<Notify>,
}

impl Watch {
    /// Knows nothing until it runs.
    #[must_use]
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, known: watch::Sender::new(Arc::from([])), hurry: Arc::default() }
    }

    #[must_use]
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<[Version]>> {
        self.known.subscribe()
    }

    /// Something has changed: read again now.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut failed = false;
        loop {
            match Version::all(&self.pool).await {
                Ok(versions) => {
                    failed = false;
                    self.known.send_if_modified(|known| {
                        let before = mem::replace(known, versions.into());
                        before != *known
                    });
                }
                // Those who feed versions meet the same error, and act on it.
                Err(error) if !failed => {
                    failed = true;
                    warn!("cannot read the versions of projections: {}", chain(&error));
                }
                Err(_) => {}
            }
            timeout(WATCH_INTERVAL, self.hurry.notified()).await.ok();
        }
    }
}
