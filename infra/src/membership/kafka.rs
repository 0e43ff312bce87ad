//! Beats on a compacted topic with one partition: key = node, value = what it says of itself, and a MAC
//! in a header.

use std::{collections::BTreeSet, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use rdkafka::{
    ClientConfig, Message, Offset, Timestamp, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Beat, Beats, BeatsFailed, Heard,
    seal::{Doubt, PeerKey},
    signed::{BeatIgnored, BeatSigner, BeatVerifier},
};
use crate::{
    clock::Clock,
    config,
    log::{
        BoxError,
        kafka::{Asked, Quiet, ask, base},
    },
    task::{self, Task},
    telemetry::emit,
};

const MAC: &str = "tradewind_mac";

/// What those that hear go by. Nobody joins this group.
const GROUP: &str = "tradewind.nodes";

/// Beats read at the start: enough to hear every living node at least once.
const TAIL: i64 = 1_000;

/// Sent later than this, a beat would tell of the past.
const SENT_WITHIN: Duration = Duration::from_millis(500);

/// How long the opening waits for the brokers.
const METADATA_WAIT_MAX: Duration = Duration::from_secs(1);

/// How long the word that a node leaves may take.
const LEAVE_WAIT_MAX: Duration = Duration::from_millis(500);

/// While the brokers are away, errors come one after the other.
const AWAY_PAUSE: Duration = Duration::from_millis(100);

/// A node that has not heard itself for this long has clients that will not find the brokers again:
/// librdkafka forgets all brokers, the first ones too, when one that has just started knows of none
/// (its issue 5301).
const UNHEARD_MAX: Duration = Duration::from_secs(3);

type Clients = (BaseProducer<Quiet>, StreamConsumer<Quiet>);

pub struct KafkaBeats {
    base: ClientConfig,
    topic: Arc<str>,
    signer: BeatSigner,
    verifier: BeatVerifier,
    /// Why beats were not believed, as far as it was told.
    told: BTreeSet<Doubt>,
    /// Both present until it is dropped.
    clients: Option<Clients>,
    /// Those that will take their place.
    opening: Option<Task<Result<Clients, BoxError>>>,
    /// Where hearing goes on.
    next: Offset,
    /// The node whose beats these are, once it has beaten.
    node: String,
    unheard_at: Instant,
    resume_at: Option<Instant>,
}

impl KafkaBeats {
    /// # Errors
    /// The settings make no client. Brokers that are away are waited for later.
    pub async fn open(
        config: &config::Kafka,
        topic: &str,
        key: PeerKey,
        clock: Clock,
    ) -> Result<Self, BeatsFailed> {
        let (signer, verifier) =
            (BeatSigner::new(key.clone(), topic, clock), BeatVerifier::new(key, topic));
        let (base, topic) = (base(config), Arc::<str>::from(topic));
        let next = Offset::OffsetTail(TAIL);
        let clients = open(base.clone(), Arc::clone(&topic), next).await.map_err(BeatsFailed)?;
        Ok(Self {
            base,
            topic,
            signer,
            verifier,
            told: BTreeSet::new(),
            clients: Some(clients),
            opening: None,
            next,
            node: String::new(),
            unheard_at: Instant::now() + UNHEARD_MAX,
            resume_at: None,
        })
    }

    /// The next record, as far as it is a beat.
    async fn receive(&mut self) -> Result<Option<Heard>, BeatsFailed> {
        let Some((_, consumer)) = &self.clients else { return std::future::pending().await };
        if let Some(at) = self.resume_at {
            sleep_until(at).await;
            self.resume_at = None;
        }
        match consumer.recv().await {
            Ok(message) => {
                self.next = Offset::Offset(message.offset() + 1);
                heard(&message, &mut self.verifier, &mut self.told)
            }
            Err(error) => {
                if let Some(denied) = Asked::reading(&self.topic, GROUP).denied(&error) {
                    denied.tell();
                }
                tracing::debug!(%error, "waiting for beats");
                self.resume_at = Some(Instant::now() + AWAY_PAUSE);
                Ok(None)
            }
        }
    }

    /// Puts fresh clients in the place of those that have lost the brokers.
    async fn reopen(&mut self) {
        let (base, topic, next) = (self.base.clone(), Arc::clone(&self.topic), self.next);
        let opening =
            self.opening.get_or_insert_with(|| task::spawn("beats-open", open(base, topic, next)));
        match opening.await {
            Ok(Ok(clients)) => self.clients.replace(clients).into_iter().for_each(end),
            Ok(Err(error)) => tracing::debug!(%error, "no fresh clients for beats"),
            Err(error) => tracing::debug!(%error, "no fresh clients for beats"),
        }
        self.opening = None;
        self.unheard_at = Instant::now() + UNHEARD_MAX;
    }
}

async fn open(base: ClientConfig, topic: Arc<str>, from: Offset) -> Result<Clients, BoxError> {
    let open = move || clients(&base, &topic, from);
    ask("beats-open", open).await
}

fn heard(
    message: &impl Message,
    verifier: &mut BeatVerifier,
    told: &mut BTreeSet<Doubt>,
) -> Result<Option<Heard>, BeatsFailed> {
    let Timestamp::LogAppendTime(at) = message.timestamp() else {
        let needed = "message.timestamp.type must be LogAppendTime";
        return Err(BeatsFailed(needed.into()));
    };
    let Some(Ok(node)) = message.key().map(std::str::from_utf8) else { return Ok(None) };
    let mac = message.headers().and_then(|headers| {
        headers.iter().find(|header| header.key == MAC).and_then(|header| header.value)
    });
    match verifier.believe(node, message.payload(), mac, at) {
        Ok(heard) => Ok(Some(heard)),
        Err(doubt) => {
            emit(BeatIgnored { node, doubt, is_first: told.insert(doubt) });
            Ok(None)
        }
    }
}

fn clients(base: &ClientConfig, topic: &str, from: Offset) -> Result<Clients, KafkaError> {
    let mut sending = base.clone();
    sending
        .set("acks", "1")
        .set("linger.ms", "0")
        .set("message.timeout.ms", SENT_WITHIN.as_millis().to_string())
        .set("queue.buffering.max.messages", "100");
    let mut hearing = base.clone();
    hearing
        // librdkafka wants a name for it, but nobody joins this group or commits to it.
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        .set("fetch.min.bytes", "1")
        .set("fetch.queue.backoff.ms", "2");
    let consumer: StreamConsumer<Quiet> = hearing.create_with_context(Quiet)?;
    // A partition that is assigned before its leader is known looks for its end half a second later.
    if let Err(error) = consumer.fetch_metadata(Some(topic), METADATA_WAIT_MAX) {
        tracing::debug!(%error, "the brokers do not tell of the nodes' topic");
    }
    let mut assignment = TopicPartitionList::with_capacity(1);
    assignment.add_partition_offset(topic, 0, from)?;
    consumer.assign(&assignment)?;
    Ok((sending.create_with_context(Quiet)?, consumer))
}

#[async_trait]
impl Beats for KafkaBeats {
    fn send(&mut self, node: &str, beat: Option<&Beat>) {
        node.clone_into(&mut self.node);
        let Some((producer, _)) = &self.clients else { return };
        // What became of earlier ones does not matter, but their memory is freed here.
        producer.poll(Duration::ZERO);
        let Some((said, tag)) = self.signer.sign(node, beat) else { return };
        let mac = OwnedHeaders::new().insert(Header { key: MAC, value: Some(&tag) });
        let record = BaseRecord::to(&self.topic).partition(0).key(node).payload(&said).headers(mac);
        if let Err((error, _)) = producer.send(record) {
            tracing::debug!(%error, "a beat was not sent");
        }
    }

    async fn hear(&mut self) -> Result<Heard, BeatsFailed> {
        loop {
            if self.opening.is_some() {
                self.reopen().await;
            }
            match timeout_at(self.unheard_at, self.receive()).await {
                Ok(heard) => {
                    let Some(heard) = heard? else { continue };
                    if heard.node == self.node {
                        self.unheard_at = Instant::now() + UNHEARD_MAX;
                    }
                    return Ok(heard);
                }
                Err(_elapsed) => {
                    tracing::warn!("no beat of this node comes back; looking for the brokers anew");
                    self.reopen().await;
                }
            }
        }
    }
}

impl Drop for KafkaBeats {
    fn drop(&mut self) {
        self.clients.take().into_iter().for_each(end);
    }
}

/// Destroying clients waits for their threads, so it is not done on this one.
fn end((producer, consumer): Clients) {
    let end = move || {
        // The last word should get out; if it does not, silence says the same a bit later.
        if let Err(error) = producer.flush(LEAVE_WAIT_MAX) {
            tracing::debug!(%error, "the last beat was not sent");
        }
        drop(consumer);
    };
    if let Err(error) = thread::Builder::new().name("beats-end".to_owned()).spawn(end) {
        tracing::warn!(%error, "no thread to end the beats on");
    }
}
