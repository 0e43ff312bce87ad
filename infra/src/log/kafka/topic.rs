//! The topics: made once, checked ever after.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
    },
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataPartition,
};
use tokio::runtime::Handle;

use super::{
    BoxError,
    client::{Quiet, REQUEST_WAIT_MAX, base},
    refusal::{Asked, Denied},
};
use crate::{
    config,
    retry::{Policy, retry},
    task,
};

/// How long the cluster may take to make a topic.
const CREATE_WAIT_MAX: Duration = Duration::from_secs(10);

/// What a topic is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Fixed for ever: streams are spread over the shards by it.
    pub partitions: u32,
    pub replication: u32,
    /// Replicas that must have a record before it is acknowledged.
    pub insync_min: u32,
    /// What must be so, whoever made the topic.
    settings: &'static [(&'static str, &'static str)],
}

const INSYNC_MIN: &str = "min.insync.replicas";

/// Anything else would delete events, now or in time.
const LOG_SETTINGS: &[(&str, &str)] =
    &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// Only the last beat of a node matters, and the broker's clock is the one of all nodes.
const NODES_SETTINGS: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("message.timestamp.type", "LogAppendTime")];

impl TopicSpec {
    /// One broker, no copies: for a machine of one's own.
    #[must_use]
    pub const fn local(partitions: u32) -> Self {
        Self { partitions, replication: 1, insync_min: 1, settings: LOG_SETTINGS }
    }

    /// Three copies, of which one may be lost without a pause.
    #[must_use]
    pub const fn replicated(partitions: u32) -> Self {
        Self { partitions, replication: 3, insync_min: 2, settings: LOG_SETTINGS }
    }

    /// A log of so many shards with as many copies as a topic that is there.
    ///
    /// # Errors
    /// There is no such topic, or the cluster does not tell of it.
    pub async fn like(
        config: &config::Kafka,
        topic: &str,
        partitions: u32,
    ) -> Result<Self, TopicError> {
        let (base, topic, runtime) = (base(config), topic.to_owned(), Handle::current());
        let describe = move || runtime.block_on(like(&base, &topic, partitions));
        off_the_async_threads("kafka-describe-topic", describe).await
    }

    /// The topic of the nodes' beats, with as many copies as this one.
    #[must_use]
    pub const fn of_nodes(self) -> Self {
        Self { partitions: 1, settings: NODES_SETTINGS, ..self }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// A topic of this name exists and is another one.
    #[error("topic {topic:?} cannot be used: {setting} is {found}, but it must be {expected}")]
    Mismatch { topic: String, setting: &'static str, found: String, expected: String },
    /// Somebody has to grant something.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The cluster does not want to make it so.
    #[error("topic {topic:?} was refused")]
    Refused {
        topic: String,
        #[source]
        source: BoxError,
    },
    #[error("the brokers do not answer")]
    Unavailable(#[source] BoxError),
}

/// Makes the topic, or checks that the one that is there is such a one.
///
/// # Errors
/// There is a topic of this name that cannot, or the cluster does not do as asked.
pub async fn ensure_topic(
    config: &config::Kafka,
    topic: &str,
    spec: TopicSpec,
) -> Result<(), TopicError> {
    let (base, topic, runtime) = (base(config), topic.to_owned(), Handle::current());
    let ensure = move || runtime.block_on(ensure(&base, &topic, spec));
    off_the_async_threads("kafka-ensure-topic", ensure).await
}

/// Dropping an admin client waits for its thread.
async fn off_the_async_threads<T: Send + 'static>(
    name: &'static str,
    job: impl FnOnce() -> Result<T, TopicError> + Send + 'static,
) -> Result<T, TopicError> {
    match task::spawn_blocking(name, job).await {
        Ok(result) => result,
        Err(error) => Err(TopicError::Unavailable(error.into())),
    }
}

fn admin(base: &ClientConfig) -> Result<AdminClient<Quiet>, TopicError> {
    base.create_with_context(Quiet).map_err(|error| TopicError::Unavailable(error.into()))
}

async fn ensure(base: &ClientConfig, topic: &str, spec: TopicSpec) -> Result<(), TopicError> {
    let unavailable = |error: KafkaError| TopicError::Unavailable(error.into());
    let admin = admin(base)?;
    let (partitions, replication) = (to_i32(spec.partitions), to_i32(spec.replication));
    let insync_min = spec.insync_min.to_string();
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication))
        .set("unclean.leader.election.enable", "false")
        .set(INSYNC_MIN, &insync_min);
    let wanted = spec.settings.iter().fold(wanted, |topic, (name, value)| topic.set(name, value));
    let options = AdminOptions::new()
        .request_timeout(Some(CREATE_WAIT_MAX))
        .operation_timeout(Some(CREATE_WAIT_MAX));
    let created = admin.create_topics([&wanted], &options).await.map_err(unavailable)?;
    match created.into_iter().next() {
        Some(Ok(_)) => {
            tracing::info!(topic, spec.partitions, "made topic {topic}");
            // Whoever asks for it next must find it. Who may make topics and not see them goes on.
            match known_partitions(&admin, topic).await {
                Ok(_) | Err(TopicError::Denied(_)) => Ok(()),
                Err(error) => Err(error),
            }
        }
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => check(&admin, topic, spec).await,
        Some(Err((_, code))) => match Asked::creating(topic).denied_by(code) {
            // Who provisions it may have made it already.
            Some(denied) => check(&admin, topic, spec).await.map_err(|error| match error {
                TopicError::Unavailable(_) | TopicError::Denied(_) => denied.into(),
                error => error,
            }),
            None => Err(TopicError::Refused { topic: topic.to_owned(), source: code.into() }),
        },
        None => Err(TopicError::Unavailable("no answer for the topic".into())),
    }
}

async fn like(base: &ClientConfig, topic: &str, partitions: u32) -> Result<TopicSpec, TopicError> {
    let admin = admin(base)?;
    let replication = replica_count(&admin, topic)?;
    let settings = settings_of(&admin, topic).await?;
    let insync_min = value_of(&settings, INSYNC_MIN).parse().unwrap_or(1);
    Ok(TopicSpec { partitions, replication, insync_min, settings: LOG_SETTINGS })
}

async fn check(admin: &AdminClient<Quiet>, topic: &str, spec: TopicSpec) -> Result<(), TopicError> {
    let partitions = known_partitions(admin, topic).await?.to_string();
    let expected = spec.partitions.to_string();
    if partitions != expected {
        return Err(mismatch(topic, "the number of partitions", &partitions, &expected));
    }
    let settings = settings_of(admin, topic).await?;
    for &(setting, expected) in spec.settings {
        let found = value_of(&settings, setting);
        if found != expected {
            return Err(mismatch(topic, setting, found, expected));
        }
    }
    Ok(())
}

/// How many there are, once the broker that is asked has heard of the topic.
async fn known_partitions(admin: &AdminClient<Quiet>, topic: &str) -> Result<usize, TopicError> {
    let count = || async { partition_count(admin, topic) };
    let may_pass = |error: &TopicError| !matches!(error, TopicError::Denied(_));
    retry(Policy::QUICK, may_pass, count).await
}

fn mismatch(topic: &str, setting: &'static str, found: &str, expected: &str) -> TopicError {
    let (topic, found, expected) = (topic.to_owned(), found.to_owned(), expected.to_owned());
    TopicError::Mismatch { topic, setting, found, expected }
}

async fn settings_of(
    admin: &AdminClient<Quiet>,
    topic: &str,
) -> Result<ConfigResource, TopicError> {
    let unavailable = |error: KafkaError| TopicError::Unavailable(error.into());
    let resource = ResourceSpecifier::Topic(topic);
    let options = AdminOptions::new().request_timeout(Some(REQUEST_WAIT_MAX));
    let described = admin.describe_configs([&resource], &options).await.map_err(unavailable)?;
    let refused = match described.into_iter().next() {
        Some(Ok(settings)) if !settings.entries.is_empty() => return Ok(settings),
        // rdkafka passes over why a topic that is there has no settings: there is one reason.
        Some(Ok(_)) => RDKafkaErrorCode::TopicAuthorizationFailed,
        Some(Err(code)) => code,
        None => {
            return Err(TopicError::Unavailable("no answer about the topic's settings".into()));
        }
    };
    let denied = Asked::describing_settings(topic).denied_by(refused);
    Err(denied.map_or_else(|| unavailable(KafkaError::AdminOp(refused)), Into::into))
}

/// # Errors
/// Among others, the broker that was asked has not heard of a topic that was made a moment ago.
fn partition_count(admin: &AdminClient<Quiet>, topic: &str) -> Result<usize, TopicError> {
    ask_of_partitions(admin, topic, <[_]>::len)
}

/// Of its first partition.
fn replica_count(admin: &AdminClient<Quiet>, topic: &str) -> Result<u32, TopicError> {
    let count = ask_of_partitions(admin, topic, |partitions| {
        partitions.first().map_or(0, |first| first.replicas().len())
    });
    Ok(u32::try_from(count?).unwrap_or(u32::MAX))
}

/// # Errors
/// Nothing is known of the topic, or the number is 0.
fn ask_of_partitions(
    admin: &AdminClient<Quiet>,
    topic: &str,
    number: impl FnOnce(&[MetadataPartition]) -> usize,
) -> Result<usize, TopicError> {
    let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST_WAIT_MAX);
    let metadata = metadata.map_err(|error| TopicError::Unavailable(error.into()))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let refused = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
    if let Some(denied) = refused.and_then(|code| Asked::describing(topic).denied_by(code)) {
        return Err(denied.into());
    }
    match found.map_or(0, |found| number(found.partitions())) {
        0 => Err(TopicError::Unavailable("the broker does not know the topic yet".into())),
        number => Ok(number),
    }
}

fn value_of<'a>(settings: &'a ConfigResource, name: &str) -> &'a str {
    settings.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or("not set")
}

/// Numbers beyond Kafka's own type are refused by the cluster like any that are too large.
fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
