//! Notifies query nodes how far the read models are, so that requests which wait for a position go on.
//!
//! In a transaction of its own, and not in those of the batches: PostgreSQL commits transactions that
//! notify strictly one after another, each with its wait for the disk, so that all batches of all
//! projectors would queue for it. This one writes nothing and waits for no disk; what has moved
//! meanwhile goes with the next one.
//!
//! **Invariant:** a notification is sent after its commit only. If the process dies in between, none is
//! sent, and query nodes learn the position from the database, which they read every second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use infra::{
    log::Checkpoint,
    postgres::{POSITIONS_CHANNEL, Pool},
    telemetry::chain,
};
use serde_json::json;
use tokio::sync::Notify;
use tracing::warn;

use super::RETRY;
use crate::checkpoint::CheckpointRow;

/// The last checkpoint of each row that is still to be sent.
#[derive(Default)]
pub(crate) struct Notices {
    pending: Mutex<BTreeMap<CheckpointRow, Checkpoint>>,
    posted: Notify,
}

impl Notices {
    /// The row has come so far, and that is committed.
    pub(super) fn post(&self, row: CheckpointRow, checkpoint: Checkpoint) {
        self.lock().insert(row, checkpoint);
        self.posted.notify_one();
    }

    /// Tells for ever, however long PostgreSQL is away.
    pub(crate) async fn run(&self, pool: &Pool) {
        let mut waits = RETRY.waits();
        loop {
            self.posted.notified().await;
            while let Err(error) = self.send(pool).await {
                warn!("cannot tell query nodes what is applied: {}", chain(&error));
                waits.wait().await;
            }
            waits.reset();
        }
    }

    /// Tells what has been posted so far.
    ///
    /// # Errors
    /// If PostgreSQL cannot answer; then it is still to be told.
    pub(crate) async fn send(&self, pool: &Pool) -> Result<(), sqlx::Error> {
        let pending = std::mem::take(&mut *self.lock());
        if pending.is_empty() {
            return Ok(());
        }
        let payloads: Vec<_> = pending.iter().map(|(row, at)| payload(row, at)).collect();
        let told = sqlx::query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload")
            .bind(POSITIONS_CHANNEL)
            .bind(payloads)
            .execute(pool)
            .await;
        told.map(drop).inspect_err(|_| {
            let mut since = self.lock();
            for (row, checkpoint) in pending {
                since.entry(row).or_insert(checkpoint);
            }
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CheckpointRow, Checkpoint>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a notification tells.
fn payload(row: &CheckpointRow, checkpoint: &Checkpoint) -> String {
    let payload = json!({
        "projection": row.projection, "version": row.version, "shard": row.shard_column(),
        "log_id": checkpoint.log_id, "next_offset": checkpoint.next_offset,
    });
    payload.to_string()
}
