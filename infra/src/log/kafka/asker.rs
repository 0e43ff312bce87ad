//! The client that asks for the ends of partitions; it reads nothing.
//!
//! One that has met brokers which were just starting may hold on to what they said, that there is no
//! such partition or no broker at all, for as long as it lives. So one that has had no answer for a
//! while gives way to a fresh one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use tokio::time::Instant;

use super::client::{AWAY_MAX, Quiet, REQUEST_WAIT_MAX};

pub(super) struct Asker {
    base: ClientConfig,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    client: Arc<BaseConsumer<Quiet>>,
    /// Set while it has no answers: since when, or since it took another's place.
    away: Option<Instant>,
}

impl Asker {
    pub(super) fn new(base: &ClientConfig) -> KafkaResult<Self> {
        let current = Current { client: client(base)?, away: None };
        Ok(Self { base: base.clone(), current: Mutex::new(current) })
    }

    /// How many partitions the topic has. Blocks.
    pub(super) fn partitions(&self, topic: &str) -> KafkaResult<usize> {
        let client = Arc::clone(&self.lock().client);
        let metadata = client.fetch_metadata(Some(topic), REQUEST_WAIT_MAX)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map_or(0, |found| found.partitions().len()))
    }

    /// The first offset and the one after the last. Blocks.
    pub(super) fn ends(&self, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
        let client = self.client(Instant::now())?;
        let ends = client.fetch_watermarks(topic, partition, REQUEST_WAIT_MAX);
        self.note(&client, ends.is_ok(), Instant::now());
        ends
    }

    fn client(&self, now: Instant) -> KafkaResult<Arc<BaseConsumer<Quiet>>> {
        let mut current = self.lock();
        let is_lost = |since: Instant| now.saturating_duration_since(since) >= AWAY_MAX;
        if current.away.is_some_and(is_lost) {
            // The old client ends with the last request that still uses it.
            *current = Current { client: client(&self.base)?, away: Some(now) };
        }
        Ok(Arc::clone(&current.client))
    }

    /// What became of a question to this client.
    fn note(&self, client: &Arc<BaseConsumer<Quiet>>, answered: bool, now: Instant) {
        let mut current = self.lock();
        if Arc::ptr_eq(&current.client, client) {
            current.away = if answered { None } else { current.away.or(Some(now)) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(base: &ClientConfig) -> KafkaResult<Arc<BaseConsumer<Quiet>>> {
    Ok(Arc::new(base.create_with_context(Quiet)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{config, log::kafka::base};

    #[test]
    fn a_client_without_an_answer_for_a_while_gives_way_to_a_fresh_one() {
        let asker = Asker::new(&base(&config::Kafka::plaintext("127.0.0.1:1", "none")));
        let asker = asker.expect("a client");
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let at = |seconds| asker.client(after(seconds)).expect("a client");
        let first = at(0);
        asker.note(&first, false, after(0));
        assert!(Arc::ptr_eq(&first, &at(2)), "brokers may be away for a moment");
        asker.note(&first, true, after(2));
        asker.note(&first, false, after(3));
        assert!(Arc::ptr_eq(&first, &at(5)), "it had an answer meanwhile");
        let second = at(6);
        assert!(!Arc::ptr_eq(&first, &second));
        asker.note(&first, true, after(7));
        assert!(Arc::ptr_eq(&second, &at(8)), "a fresh one gets its time");
        assert!(!Arc::ptr_eq(&second, &at(9)), "what the one before it hears is not its own");
    }
}
