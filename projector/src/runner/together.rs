//! Moves checkpoints of projections for which nothing happened, together.
//!
//! Most commits concern one or two projections, and yet every projection must move its checkpoint past
//! them. An applier that has only its checkpoint to write leaves it here; all that have gathered by the
//! time a connection is free go in one statement.
//!
//! **Invariant:** the statement skips rows that another transaction holds. The applier of a checkpoint
//! that was not moved here moves it itself, and learns why it could not.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use infra::postgres::Pool;
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::timeout,
};

use crate::checkpoint::{Advance, CheckpointRow, advance_free};

/// How long a connection that may be dead holds up those who wait for their turn.
const WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Together {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by the one that moves what has gathered.
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    row: CheckpointRow,
    step: Advance,
    /// Gets a message if it was moved.
    moved: oneshot::Sender<()>,
}

impl Together {
    /// Whether the checkpoint was moved.
    pub(super) async fn advance(&self, pool: &Pool, row: CheckpointRow, step: Advance) -> bool {
        let (sender, mut moved) = oneshot::channel();
        self.lock().push(Waiting { row, step, moved: sender });
        let _turn = self.turn.lock().await;
        match moved.try_recv() {
            Ok(()) => return true,
            // It went along with others.
            Err(TryRecvError::Closed) => return false,
            Err(TryRecvError::Empty) => {}
        }
        let connection = pool.acquire().await;
        let mut waiting = std::mem::take(&mut *self.lock());
        // Appliers that have gone away have dropped their receivers.
        waiting.retain(|it| !it.moved.is_closed());
        let Ok(mut connection) = connection else { return false };
        let steps: Vec<_> = waiting.iter().map(|it| (it.row, it.step)).collect();
        let advanced = match timeout(WAIT_MAX, advance_free(&mut connection, &steps)).await {
            Ok(Ok(advanced)) => advanced,
            Ok(Err(_)) => return false,
            Err(_elapsed) => {
                // The late answer may still arrive, so the connection is not used again.
                drop(connection.detach());
                return false;
            }
        };
        for Waiting { row, moved, .. } in waiting {
            if advanced.contains(&(row.projection.to_owned(), row.version, row.shard_column())) {
                // The applier may have gone away.
                moved.send(()).ok();
            }
        }
        moved.try_recv().is_ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
