//! The shell's store: opened, fetched as a snapshot where there is none, opened again when the system
//! has refused, and thrown away where it is damaged.

use std::{sync::Arc, time::Duration};

use infra::{
    log::ReadError,
    task,
    telemetry::{chain, emit},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    super::{
        SubmitError,
        effect::Role,
        events::{OfShard, StoreEvent},
        saver::Saver,
        snapshots::{self, Uploader},
        step::Machine,
        store::{self, StateStore, StoreError},
    },
    Shard, ShardError, without_store,
};

/// How long whoever asks waits for a store that is being opened. Then it is told that the shard is
/// busy, which is certain.
const ASKERS_WAIT_MAX: Duration = Duration::from_secs(1);

/// A store that has worked for this long has recovered.
const RECOVERED_AFTER: Duration = Duration::from_mins(1);

impl Shard {
    /// Opens the store, once it has been left alone for a while, and makes a machine that goes on from
    /// there.
    pub(super) async fn open_store(&mut self, pause: Duration) -> Result<(), ShardError> {
        let store = self.opened_after(pause).await?;
        self.machine = Machine::new(self.id, Arc::clone(&store), self.stores.cache_bytes);
        let (repository, clock) = (self.stores.repository.clone(), self.clock.clone());
        self.uploader = Some(Uploader::new(self.id, Arc::clone(&store), repository, clock));
        self.saver = Some(Saver::new(self.id, store));
        // The view tells the machine at once what it is to the shard.
        self.view.mark_changed();
        Ok(())
    }

    /// However long it takes. Nobody who asks meanwhile waits for all of that.
    async fn opened_after(&mut self, pause: Duration) -> Result<Arc<dyn StateStore>, ShardError> {
        let Self { id, stores, log, requests, .. } = self;
        let opening = async {
            sleep(pause).await;
            store::open::open(stores, &**log, *id).await
        };
        tokio::pin!(opening);
        let refuse_at = Instant::now() + ASKERS_WAIT_MAX;
        let mut is_asked = true;
        loop {
            let refused = async {
                sleep_until(refuse_at).await;
                requests.recv().await
            };
            tokio::select! {
                biased;
                opened = &mut opening => {
                    return opened.map_err(|source| ShardError::Read { shard: *id, source });
                }
                request = refused, if is_asked => match request {
                    Some(request) => request.refuse(SubmitError::Busy),
                    None => is_asked = false,
                },
            }
        }
    }

    /// Whether this node is to serve or to follow the shard and knows nothing of it.
    pub(super) fn lacks_snapshot(&self) -> bool {
        let role = self.role_in(&self.view.borrow());
        let takes_part = role.is_some_and(|role| role != Role::Away);
        let is_possible = !self.has_sought && self.stores.repository.is_some();
        takes_part && is_possible && self.machine.next_offset() == 0
    }

    /// Closes the empty store, and opens it with what a snapshot holds, if there is one.
    pub(super) async fn seek_snapshot(&mut self) -> Result<(), ShardError> {
        self.has_sought = true;
        self.reading = None;
        self.forget().await;
        if let Some(repository) = &self.stores.repository {
            let fetched = snapshots::fetch(&self.stores, repository, &*self.log, self.id).await;
            match fetched {
                // What is not known now is known when the store is opened, which waits for the log.
                Ok(()) | Err(ReadError::Unavailable(_)) => {}
                Err(source) => return Err(ShardError::Read { shard: self.id, source }),
            }
        }
        self.open_store(Duration::ZERO).await
    }

    pub(super) fn offer_snapshot(&mut self) {
        if let Some(uploader) = self.uploader.as_mut().filter(|_| self.machine.is_serving()) {
            uploader.offer(self.machine.next_offset());
        }
    }

    /// Saves what there is, and closes the store, which blocks.
    pub(super) async fn close_store(mut self) {
        if let Some(saver) = self.saver.take() {
            saver.finish(&mut self.machine).await;
        }
        self.forget().await;
    }

    /// The store cannot be read: what was made of it goes, and with it the store itself if that is
    /// damaged; one that the system kept from reading is opened again. Whoever waits for an answer is
    /// told that it is unknown, and finds it with a retry.
    pub(super) async fn start_over(&mut self, error: StoreError) -> Result<(), ShardError> {
        (self.writer, self.reading) = (None, None);
        self.replies.clear();
        self.reads.clear();
        self.forget().await;
        self.publish();
        match &error {
            StoreError::Io(_) => emit(OfShard(self.id, StoreEvent::Reopened(&error))),
            StoreError::Corrupt(_) => {
                self.has_sought = false;
                let reason = chain(&error).to_string();
                store::open::discard(&self.stores, self.id, &reason).await;
            }
        }
        let now = Instant::now();
        let failed_before = self.store_failed_at.replace(now);
        if failed_before.is_none_or(|last| now - last > RECOVERED_AFTER) {
            self.store_waits.reset();
        }
        let pause = self.store_waits.next_wait().unwrap_or_default();
        self.open_store(pause).await
    }

    /// Closes the store, and with it all that was made of it.
    async fn forget(&mut self) {
        self.listener = None;
        let machine = std::mem::replace(&mut self.machine, without_store(self.id));
        let uploader = self.uploader.take();
        if let Some(saver) = self.saver.take() {
            saver.stop().await;
        }
        task::spawn_blocking("close store", move || drop((machine, uploader))).await.ok();
    }
}
