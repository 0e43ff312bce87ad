//! How commands come together in groups.

use std::{
    collections::VecDeque,
    ops::Range,
    pin::pin,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use futures_util::poll;
use infra::log::{
    AppendError, LogReader, LogWriter, OpenError, Opened, OutgoingRecord, Prefetch, Ticket,
};

use super::*;

/// How many records writers were given at a time.
type Groups = Arc<Mutex<Vec<usize>>>;

struct Counted {
    log: MemoryLog,
    groups: Groups,
}

struct CountedWriter {
    writer: Box<dyn LogWriter>,
    groups: Groups,
}

#[async_trait]
impl EventLog for Counted {
    fn shard_count(&self) -> u32 {
        self.log.shard_count()
    }

    async fn open_writer(&self, shard: ShardId) -> Result<Opened, OpenError> {
        let (writer, reports) = self.log.open_writer(shard).await?;
        Ok((Box::new(CountedWriter { writer, groups: Arc::clone(&self.groups) }), reports))
    }

    async fn open_reader(
        &self,
        shard: ShardId,
        from: Offset,
        prefetch: Prefetch,
    ) -> Result<Box<dyn LogReader>, infra::log::ReadError> {
        self.log.open_reader(shard, from, prefetch).await
    }

    async fn range(&self, shard: ShardId) -> Result<Range<Offset>, infra::log::ReadError> {
        self.log.range(shard).await
    }
}

impl LogWriter for CountedWriter {
    fn append(&mut self, record: &OutgoingRecord, ticket: Ticket) -> Result<(), AppendError> {
        self.writer.append(record, ticket)
    }

    fn append_all(
        &mut self,
        records: &mut VecDeque<(OutgoingRecord, Ticket)>,
    ) -> Result<(), AppendError> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(records.len());
        self.writer.append_all(records)
    }
}

#[tokio::test]
async fn who_is_about_to_ask_comes_along() {
    let groups = Groups::default();
    let log: Arc<dyn EventLog> =
        Arc::new(Counted { log: MemoryLog::new(1), groups: Arc::clone(&groups) });
    let running = Running::on(&log);
    submit(&running.engine, receive("A", 1)).await.expect("the shard serves");
    groups.lock().unwrap_or_else(PoisonError::into_inner).clear();

    let mut first = pin!(submit(&running.engine, receive("A", 2)));
    assert!(poll!(&mut first).is_pending());
    // The shard has been woken by now, and runs before the next command does.
    let engine = running.engine.clone();
    let next = task::spawn("next", async move { submit(&engine, receive("A", 3)).await });
    first.await.expect("an answer");
    next.await.expect("no panic").expect("an answer");
    assert_eq!(*groups.lock().unwrap_or_else(PoisonError::into_inner), [2]);
}
