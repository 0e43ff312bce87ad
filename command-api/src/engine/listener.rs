//! Who follows a shard at the node that serves it, and need not read the log for that.
//!
//! The machine tells each commit as it emits it, in the order and with the checkpoints that any reader
//! of the log comes to, for it is a reader of the log. **Invariant:** the shard never waits for a
//! listener. Who does not keep up is told nothing more, and reads the rest in the log.

use std::sync::Arc;

use infra::log::{Checkpoint, Commit, CommitBody};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What commits may hold that wait for one listener, in KiB.
const WAITING_KIB_MAX: u32 = 16 << 10;

/// A commit, and where its reader goes on.
#[derive(Debug)]
pub struct Emitted {
    pub commit: Commit,
    pub checkpoint: Checkpoint,
    _room: OwnedSemaphorePermit,
}

/// What a shard's machine emits behind a checkpoint, until the listener falls behind or the shard
/// begins anew.
#[derive(Debug)]
pub struct Listening {
    pub from: Checkpoint,
    pub emitted: mpsc::Receiver<Emitted>,
}

/// The shard's end.
pub(super) struct Listener {
    sender: mpsc::Sender<Emitted>,
    room: Arc<Semaphore>,
}

impl Listener {
    pub(super) fn new(from: Checkpoint, commits_max: usize) -> (Self, Listening) {
        let (sender, emitted) = mpsc::channel(commits_max);
        let room = Arc::new(Semaphore::new(WAITING_KIB_MAX as usize));
        (Self { sender, room }, Listening { from, emitted })
    }

    /// Whether it still listens, and has room for this.
    pub(super) fn tell(&self, commit: Commit, checkpoint: Checkpoint) -> bool {
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib(&commit));
        let Ok(_room) = room else { return false };
        self.sender.try_send(Emitted { commit, checkpoint, _room }).is_ok()
    }
}

fn kib(commit: &Commit) -> u32 {
    let bytes: usize = match &commit.body {
        CommitBody::Events(events) => events.iter().map(|event| event.value.len()).sum(),
        CommitBody::Barrier(_) => 0,
    };
    // The largest commit alone must fit.
    u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, WAITING_KIB_MAX)
}
