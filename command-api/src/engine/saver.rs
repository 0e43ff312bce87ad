//! Writes the store behind the log, off the async threads, one batch at a time.
//!
//! A batch that cannot be written is tried again until it can: the machine keeps what it holds and
//! goes on, until too much has gathered. Only a store that is found to be damaged is not.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    retry::{Policy, Waits},
    task::{self, Task, TaskFailed},
    telemetry::emit,
};
use tokio::time::Instant;

use super::{
    events::{OfShard, StoreEvent},
    step::Machine,
    store::{Batch, StateStore, StoreError, Written},
};

/// How often a shard's store is written, unless much waits.
const EVERY: Duration = Duration::from_millis(100);

/// How many times as long as a write took passes before the next one, unless much waits. While a log
/// is replayed, all changes of a state in that time cost one write.
const PAUSE: u32 = 4;

/// How long the last write of a shutdown may take.
const LAST_WAIT_MAX: Duration = Duration::from_secs(5);

pub(super) struct Saver {
    shard: ShardId,
    store: Arc<dyn StateStore>,
    state: State,
    next_at: Instant,
    /// Of a store that takes no writes.
    retries: Option<Waits>,
}

enum State {
    Idle,
    Writing {
        batch: Arc<Batch>,
        task: Task<Attempt>,
    },
    /// The batch could not be written; it is tried again at the saver's next time.
    Failed {
        batch: Arc<Batch>,
    },
}

/// What a write came to, and how long it took.
type Attempt = (Result<Written, StoreError>, Duration);

impl Saver {
    pub(super) fn new(shard: ShardId, store: Arc<dyn StateStore>) -> Self {
        let (state, next_at) = (State::Idle, Instant::now() + EVERY);
        Self { shard, store, state, next_at, retries: None }
    }

    /// Begins to write what the machine has, if it is time.
    pub(super) fn offer(&mut self, machine: &mut Machine) {
        let is_due = Instant::now() >= self.next_at;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle if is_due || machine.should_save() => {
                if let Some(batch) = machine.take_unsaved() {
                    self.write(Arc::new(batch));
                }
            }
            State::Failed { batch } if is_due => self.write(batch),
            other => self.state = other,
        }
    }

    /// Waits until a write has ended; forever if there is none. Dropping the future loses nothing.
    pub(super) async fn ended(&mut self, machine: &mut Machine) {
        let State::Writing { batch, task } = &mut self.state else {
            return std::future::pending().await;
        };
        let attempt = task.await;
        let batch = Arc::clone(batch);
        self.conclude(batch, attempt, machine);
    }

    /// Writes all that there is, if the store takes it in time.
    pub(super) async fn finish(mut self, machine: &mut Machine) {
        let deadline = Instant::now() + LAST_WAIT_MAX;
        loop {
            self.next_at = Instant::now();
            self.offer(machine);
            if !matches!(self.state, State::Writing { .. }) {
                return;
            }
            let ended = tokio::time::timeout_at(deadline, self.ended(machine)).await;
            if ended.is_err() || matches!(self.state, State::Failed { .. }) {
                return;
            }
        }
    }

    /// Waits for what is being written, and forgets the rest.
    pub(super) async fn stop(self) {
        if let State::Writing { task, .. } = self.state {
            task.await.ok();
        }
    }

    fn write(&mut self, batch: Arc<Batch>) {
        let (store, writing) = (Arc::clone(&self.store), Arc::clone(&batch));
        let task = task::spawn("save", async move {
            let began = Instant::now();
            let written = task::spawn_blocking("write store", move || store.write(&writing)).await;
            let result = written.unwrap_or_else(|failed| Err(StoreError::Io(failed.into())));
            (result, began.elapsed())
        });
        self.state = State::Writing { batch, task };
    }

    fn conclude(
        &mut self,
        batch: Arc<Batch>,
        attempt: Result<Attempt, TaskFailed>,
        machine: &mut Machine,
    ) {
        let shard = self.shard;
        let failed = |failed: TaskFailed| (Err(StoreError::Io(failed.into())), Duration::ZERO);
        let (result, took) = attempt.unwrap_or_else(failed);
        match result {
            Ok(written) => {
                machine.saved(&written);
                emit(OfShard(shard, StoreEvent::Written { took, bytes: written.size.bytes }));
                for entry in &written.unreadable {
                    emit(OfShard(shard, entry));
                }
                if self.retries.take().is_some() {
                    emit(OfShard(shard, StoreEvent::Recovered));
                }
                (self.state, self.next_at) =
                    (State::Idle, Instant::now() + EVERY.max(took * PAUSE));
            }
            // What lies there takes no more; the shell throws it away.
            Err(error @ StoreError::Corrupt(_)) => {
                machine.store_failed(error);
                (self.state, self.next_at) = (State::Failed { batch }, Instant::now() + EVERY);
            }
            Err(error @ StoreError::Io(_)) => {
                if self.retries.is_none() {
                    emit(OfShard(shard, StoreEvent::Unwritable(&error)));
                }
                let retries = self.retries.get_or_insert_with(|| Policy::PATIENT.waits());
                let wait = retries.next_wait().unwrap_or(EVERY);
                (self.state, self.next_at) = (State::Failed { batch }, Instant::now() + wait);
            }
        }
    }
}
