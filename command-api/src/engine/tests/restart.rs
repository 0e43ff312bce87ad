//! What a restart finds in the store, and what becomes of a store that is no use.

use std::{
    ops::{Range, RangeInclusive},
    sync::Mutex,
};

use async_trait::async_trait;
use infra::log::{LogReader, OpenError, Opened, Prefetch, ReadError, memory::RawRecord};

use super::*;

/// Remembers from where the log was read.
pub(super) struct Watched {
    log: Arc<dyn EventLog>,
    opened_at: Mutex<Vec<Offset>>,
    /// Before that it cannot be read.
    open: Option<Shutdown>,
}

impl Watched {
    pub(super) fn new() -> Arc<Self> {
        let log = Arc::new(MemoryLog::new(1));
        Arc::new(Self { log, opened_at: Mutex::default(), open: None })
    }

    /// A log that cannot be read before it is opened.
    pub(super) fn shut(log: &Arc<dyn EventLog>, open: &Shutdown) -> Arc<Self> {
        let (log, open) = (Arc::clone(log), Some(open.clone()));
        Arc::new(Self { log, opened_at: Mutex::default(), open })
    }

    /// The smallest offset that was read since the last call.
    pub(super) fn read_from(&self) -> Option<Offset> {
        std::mem::take(&mut *self.opened_at.lock().unwrap()).into_iter().min()
    }
}

#[async_trait]
impl EventLog for Watched {
    fn shard_count(&self) -> u32 {
        self.log.shard_count()
    }

    async fn open_writer(&self, shard: ShardId) -> Result<Opened, OpenError> {
        self.log.open_writer(shard).await
    }

    async fn open_reader(
        &self,
        shard: ShardId,
        from: Offset,
        prefetch: Prefetch,
    ) -> Result<Box<dyn LogReader>, ReadError> {
        if let Some(open) = &self.open {
            open.requested().await;
        }
        self.opened_at.lock().unwrap().push(from);
        self.log.open_reader(shard, from, prefetch).await
    }

    async fn range(&self, shard: ShardId) -> Result<Range<Offset>, ReadError> {
        self.log.range(shard).await
    }
}

/// Commands `keys` on stock `A`, one after the other.
pub(super) async fn receive_all(running: &Running, keys: RangeInclusive<u128>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for key in keys {
        answers.push(submit(&running.engine, receive("A", key)).await.expect("an answer"));
    }
    answers
}

pub(super) async fn on_hand(running: &Running) -> u32 {
    let read = stock(&running.engine, "A", Consistency::Linearizable).await;
    read.expect("a state").state.on_hand()
}

/// A node runs for the commands `keys`.
pub(super) async fn ran(
    log: &Arc<dyn EventLog>,
    stores: &Stores,
    keys: RangeInclusive<u128>,
) -> Vec<Answer> {
    let running = Running::with(log, stores);
    let answers = receive_all(&running, keys).await;
    running.stop().await;
    answers
}

/// A node runs and tells what is on hand.
pub(super) async fn found(log: &Arc<dyn EventLog>, stores: &Stores) -> u32 {
    let running = Running::with(log, stores);
    let found = on_hand(&running).await;
    running.stop().await;
    found
}

#[tokio::test]
async fn a_restart_reads_only_what_came_after_the_checkpoint() {
    let (watched, stores) = (Watched::new(), Stores::in_memory());
    let log: Arc<dyn EventLog> = watched.clone();
    let answers = ran(&log, &stores, 1..=20).await;
    let end = log.range(ONLY).await.unwrap().end;
    watched.read_from();

    let second = Running::with(&log, &stores);
    for (key, answer) in (1..).zip(answers) {
        let again = submit(&second.engine, receive("A", key)).await.expect("an answer");
        assert_eq!(again, Answer { replayed: true, ..answer });
    }
    assert_eq!(on_hand(&second).await, 20);
    second.stop().await;
    // The last record is looked at to see that the store is of this log.
    assert_eq!(watched.read_from(), Some(end - 1));
}

#[tokio::test]
async fn the_store_of_another_log_is_thrown_away() {
    // Of a log that goes on as far, of one that ends before the checkpoint, and of one that has a foreign
    // record there.
    for (stored, foreign, commands) in [(3, 0, 5), (3, 0, 0), (1, 9, 0)] {
        let stores = Stores::in_memory();
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
        ran(&log, &stores, 1..=stored).await;

        let log = MemoryLog::new(1);
        for _ in 0..foreign {
            log.append_raw(ONLY, RawRecord::default());
        }
        let log: Arc<dyn EventLog> = Arc::new(log);
        if commands > 0 {
            ran(&log, &Stores::in_memory(), 11..=10 + commands).await;
        }
        let second = Running::with(&log, &stores);
        assert_eq!(u128::from(on_hand(&second).await), commands);
        let answer = submit(&second.engine, receive("A", 1)).await.expect("an answer");
        assert!(!answer.replayed, "the command is new to this log");
        second.stop().await;
    }
}
