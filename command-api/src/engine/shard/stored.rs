//! The shell's store: opened, fetched as a snapshot where there is none, and thrown away.

use std::sync::Arc;

use infra::{log::ReadError, task, telemetry::chain};

use super::{
    super::{
        effect::Input,
        ownership::Role,
        saver::Saver,
        snapshots::{self, Uploader},
        step::Machine,
        store::{self, StoreError},
    },
    Shard, ShardError, without_store,
};

impl Shard {
    /// Opens the store and makes a machine that goes on from there.
    pub(super) async fn open_store(&mut self) -> Result<(), ShardError> {
        let opened = store::open::open(&self.stores, &*self.log, self.id).await;
        let store = opened.map_err(|source| ShardError::Read { shard: self.id, source })?;
        self.machine = Machine::new(self.id, Arc::clone(&store), self.stores.cache_bytes());
        let (depot, clock) = (self.stores.depot().cloned(), self.clock.clone());
        self.uploader = Some(Uploader::new(self.id, Arc::clone(&store), depot, clock));
        self.saver = Some(Saver::new(self.id, store));
        // Nobody has appointed this machine yet; the view tells at once whether it is.
        (self.role, self.claim_at) = (Role::Away, None);
        self.machine.step(Input::Resigned, &mut Vec::new());
        self.view.mark_changed();
        Ok(())
    }

    /// Whether this node is to serve or to follow the shard and knows nothing of it.
    pub(super) fn lacks_snapshot(&self) -> bool {
        let role = self.role_in(&self.view.borrow());
        let takes_part = role.is_some_and(|role| role != Role::Away);
        let is_possible = !self.has_sought && self.stores.depot().is_some();
        takes_part && is_possible && self.machine.next_offset() == 0
    }

    /// Closes the empty store, and opens it with what a snapshot holds, if there is one.
    pub(super) async fn seek_snapshot(&mut self) -> Result<(), ShardError> {
        self.has_sought = true;
        self.fetch = None;
        self.forget().await;
        if let Some(depot) = self.stores.depot() {
            let fetched = snapshots::fetch(&self.stores, depot, &*self.log, self.id).await;
            match fetched {
                // What is not known now is known when the store is opened, which waits for the log.
                Ok(_) | Err(ReadError::Unavailable(_)) => {}
                Err(source) => return Err(ShardError::Read { shard: self.id, source }),
            }
        }
        self.open_store().await
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

    /// The store cannot be read: throws it away with all that was made of it. Whoever waits for an
    /// answer is told that it is unknown, and finds it with a retry.
    pub(super) async fn start_over(&mut self, error: &StoreError) -> Result<(), ShardError> {
        (self.writer, self.fetch) = (None, None);
        self.replies.clear();
        self.reads.clear();
        self.has_sought = false;
        self.forget().await;
        let reason = chain(error).to_string();
        store::open::discard(&self.stores, self.id, &reason).await;
        self.open_store().await
    }

    /// Closes the store, and with it all that was made of it.
    async fn forget(&mut self) {
        let machine = std::mem::replace(&mut self.machine, without_store(self.id));
        let uploader = self.uploader.take();
        if let Some(saver) = self.saver.take() {
            saver.stop().await;
        }
        task::spawn_blocking("close store", move || drop((machine, uploader))).await.ok();
    }
}
