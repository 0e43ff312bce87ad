//! A topic as any Kafka client sees it, without the protocol that the log puts on top.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use infra::task::spawn_blocking;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, OwnedMessage},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

const WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) struct Topic {
    consumer: BaseConsumer,
    name: String,
}

impl Topic {
    fn new(servers: &str, name: &str) -> Result<Self> {
        let consumer = client(servers)
            .set("group.id", "tradewind.bench")
            .set("enable.auto.commit", "false")
            .create()?;
        Ok(Self { consumer, name: name.to_owned() })
    }

    /// Looks at a topic on a thread that may block.
    pub(super) async fn with<T: Send + 'static>(
        servers: &str,
        name: &str,
        look: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (servers, name) = (servers.to_owned(), name.to_owned());
        spawn_blocking("look at a topic", move || look(&Self::new(&servers, &name)?)).await?
    }

    /// The offset after the last record, of each partition.
    pub(super) fn ends(&self) -> Result<Vec<i64>> {
        let metadata = self.consumer.fetch_metadata(Some(&self.name), WAIT_MAX)?;
        let topic = metadata.topics().first().context("Kafka tells nothing of the topic")?;
        let mut ends = vec![0; topic.partitions().len()];
        for (partition, end) in (0..).zip(&mut ends) {
            *end = self.consumer.fetch_watermarks(&self.name, partition, WAIT_MAX)?.1;
        }
        Ok(ends)
    }

    /// Shows each event from `starts` up to `ends`; claims and barriers are not events.
    pub(super) fn events(
        &self,
        starts: &[i64],
        ends: &[i64],
        mut each: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<()> {
        self.records(starts, ends, |message| {
            if is_event(message) {
                each(message);
            }
        })
    }

    fn records(
        &self,
        starts: &[i64],
        ends: &[i64],
        mut each: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, start) in (0..).zip(starts) {
            list.add_partition_offset(&self.name, partition, Offset::Offset(*start))?;
        }
        self.consumer.assign(&list)?;
        let mut left: i64 = ends.iter().zip(starts).map(|(end, start)| end - start).sum();
        while left > 0 {
            let Some(message) = self.consumer.poll(WAIT_MAX) else {
                bail!("Kafka gave nothing for {WAIT_MAX:?}, and {left} records are missing");
            };
            let message = message?;
            let partition = usize::try_from(message.partition())?;
            // What came after the end was asked for is not shown.
            if ends.get(partition).is_some_and(|end| message.offset() < *end) {
                left -= 1;
                each(&message);
            }
        }
        self.consumer.unassign()?;
        Ok(())
    }

    /// One of the last events.
    pub(super) fn event(&self) -> Result<OwnedMessage> {
        let ends = self.ends()?;
        let starts: Vec<_> = ends.iter().map(|end| (end - LAST).max(0)).collect();
        let mut event = None;
        self.events(&starts, &ends, |message| event = Some(message.detach()))?;
        event.context("there is no event at the end of the topic")
    }
}

/// How long two clients at once take to read the whole topic, to parse the envelope of each record, and to do
/// nothing with it: no reader of the log can be faster.
pub(super) async fn read_bare(servers: &str, name: &str) -> Result<Duration> {
    let began = Instant::now();
    let reader = |half: usize| {
        Topic::with(servers, name, move |topic| {
            let ends = topic.ends()?;
            let own =
                |(partition, end): (usize, &i64)| if partition % 2 == half { 0 } else { *end };
            let starts: Vec<_> = ends.iter().enumerate().map(own).collect();
            topic.events(&starts, &ends, |_| {})
        })
    };
    tokio::try_join!(reader(0), reader(1))?;
    Ok(began.elapsed())
}

/// How long one client takes to read the whole topic and to copy the values of its records.
pub(super) async fn copy(servers: &str, name: &str) -> Result<Duration> {
    let began = Instant::now();
    Topic::with(servers, name, |topic| {
        let ends = topic.ends()?;
        let mut copied = Vec::new();
        topic.records(&vec![0; ends.len()], &ends, |message| {
            if copied.len() > COPIED_BYTES {
                copied.clear();
            }
            copied.extend_from_slice(message.payload().unwrap_or_default());
        })
    })
    .await?;
    Ok(began.elapsed())
}

/// A copy goes out when it is so large.
const COPIED_BYTES: usize = 256 << 10;

/// How far before the end of each partition an event is looked for.
const LAST: i64 = 100;

/// Parses the envelope, as every reader of the log must, and skips the data.
fn is_event(message: &BorrowedMessage<'_>) -> bool {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        kind: &'a str,
        #[serde(borrow, rename = "data")]
        _data: &'a RawValue,
    }
    let envelope = message.payload().map(serde_json::from_slice::<Envelope<'_>>);
    matches!(envelope, Some(Ok(Envelope { kind: "event", .. })))
}

pub(super) fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

/// Removes topics that were made for a benchmark.
pub(super) async fn delete(servers: &str, names: &[&str]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(servers).create()?;
    for result in admin.delete_topics(names, &AdminOptions::new()).await? {
        ensure!(result.is_ok(), "a topic of the benchmark is still there: {result:?}");
    }
    Ok(())
}
