//! The client that asks for the ends of partitions; it reads nothing.
//!
//! One that has met brokers which were just starting may hold on to what they said, that there is no
//! such partition or no broker at all, for as long as it lives. So one that has had no answer for a
//! while gives way to a fresh one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};
use tokio::time::Instant;

use super::{
    client::{self, AWAY_MAX, REQUEST_WAIT_MAX},
    refusal::{Asked, ConnectError},
};

/// Events of a client that are looked through for why it has no answer.
const EVENTS_MAX: usize = 256;

/// Remembers why the brokers were not reached, where somebody said so.
#[derive(Default)]
struct Attentive(Mutex<Option<String>>);

pub(super) struct Asker {
    base: ClientConfig,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    client: Arc<BaseConsumer<Attentive>>,
    /// Set while it has no answers: since when, or since it took another's place.
    away: Option<Instant>,
}

impl Asker {
    pub(super) fn new(base: &ClientConfig) -> KafkaResult<Self> {
        let current = Current { client: client(base)?, away: None };
        Ok(Self { base: base.clone(), current: Mutex::new(current) })
    }

    /// How many partitions the topic has. Blocks.
    pub(super) fn partitions(&self, topic: &str) -> Result<usize, ConnectError> {
        let client = Arc::clone(&self.lock().client);
        let metadata = client.fetch_metadata(Some(topic), REQUEST_WAIT_MAX);
        let metadata = metadata.map_err(|error| match complaint(&client) {
            Some(complaint) => ConnectError::Refused(complaint),
            None => ConnectError::Unavailable(error.into()),
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let refused = found.and_then(|found| found.error()).map(Code::from);
        match refused.and_then(|code| Asked::reaching(topic).denied_by(code)) {
            Some(denied) => Err(denied.into()),
            None => Ok(found.map_or(0, |found| found.partitions().len())),
        }
    }

    /// The first offset and the one after the last. Blocks.
    pub(super) fn ends(&self, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
        let client = self.client(Instant::now())?;
        let ends = client.fetch_watermarks(topic, partition, REQUEST_WAIT_MAX);
        self.note(&client, ends.is_ok(), Instant::now());
        ends
    }

    /// The first offset whose record, by the broker's index, is of this millisecond or later, or the one
    /// after the last. Blocks.
    pub(super) fn offset_at(&self, topic: &str, partition: i32, millis: i64) -> KafkaResult<i64> {
        let (first, end) = self.ends(topic, partition)?;
        // The protocol has other meanings for numbers below.
        if millis <= 0 {
            return Ok(first);
        }
        let client = self.client(Instant::now())?;
        let mut asked = TopicPartitionList::with_capacity(1);
        asked.add_partition_offset(topic, partition, Offset::Offset(millis))?;
        let found = client.offsets_for_times(asked, REQUEST_WAIT_MAX);
        self.note(&client, found.is_ok(), Instant::now());
        let found = found?;
        let Some(entry) = found.find_partition(topic, partition) else { return Ok(first) };
        entry.error()?;
        match entry.offset() {
            Offset::Offset(offset) => Ok(offset.clamp(first, end)),
            _ => Ok(end),
        }
    }

    fn client(&self, now: Instant) -> KafkaResult<Arc<BaseConsumer<Attentive>>> {
        let mut current = self.lock();
        let is_lost = |since: Instant| now.saturating_duration_since(since) >= AWAY_MAX;
        if current.away.is_some_and(is_lost) {
            // The old client ends with the last request that still uses it.
            *current = Current { client: client(&self.base)?, away: Some(now) };
        }
        Ok(Arc::clone(&current.client))
    }

    /// What became of a question to this client.
    fn note(&self, client: &Arc<BaseConsumer<Attentive>>, answered: bool, now: Instant) {
        let mut current = self.lock();
        if Arc::ptr_eq(&current.client, client) {
            current.away = if answered { None } else { current.away.or(Some(now)) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(base: &ClientConfig) -> KafkaResult<Arc<BaseConsumer<Attentive>>> {
    Ok(Arc::new(base.create_with_context(Attentive::default())?))
}

/// Nobody polls this client, so what it has to say waits.
fn complaint(client: &BaseConsumer<Attentive>) -> Option<String> {
    for _ in 0..EVENTS_MAX {
        // Its context hears it.
        drop(client.poll(Duration::ZERO));
    }
    client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl ClientContext for Attentive {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let is_sign_in =
            matches!(error.rdkafka_error_code(), Some(Code::Authentication | Code::SSL));
        // A broker that misses a certificate says so after the handshake, in place of an answer.
        if is_sign_in || reason.contains("SSL routines") {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *heard = Some(reason.to_owned());
        }
        client::log_error(&error, reason);
    }
}

impl ConsumerContext for Attentive {}

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
