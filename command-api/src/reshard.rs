//! `command-api reshard`: a log with another number of shards, made of the one that is there.
//!
//! The shard of a stream follows from the number of shards, so a topic keeps the one that it was made with.
//! The way out is a copy of all commits in another topic ([ADR 25](../../docs/adr/0025-resharding-copies-the-log.md)),
//! while no node runs. Pure are [`merge`], the order of the commits, [`plan`], where each goes, and `parked`, what
//! keeps a copy from being finished; [`source`] and [`target`] read and write, [`copy`] joins them all.
//!
//! **Invariant:** what is appended to a new shard, and in which order, follows from the old log alone. So what
//! stands in the target tells how far a copy has come, and whether it is one: there is no other record of that.
//!
//! **Invariant:** the old log is only read. Whoever goes back to it finds it as it was.

mod appender;
mod commit;
mod copy;
mod error;
mod merge;
mod nodes;
mod parked;
mod plan;
mod progress;
mod source;
mod target;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures_util::{FutureExt, future::BoxFuture};
use infra::{
    clock::Clock,
    config,
    log::{
        EventLog,
        kafka::{ConnectError, KafkaLog, TopicSpec, ensure_topic},
        progress::Progress as ProcessProgress,
    },
    membership::{kafka::KafkaBeats, seal::PeerKey},
    retry::{Policy, retry},
};

use crate::{
    rear::PROGRESS_GROUP,
    settings::{Meeting, ReshardSettings},
};
use copy::{Copied, Reshard};
use progress::Progress;

/// Far more than are of use.
const SHARDS_MAX: i64 = 1_024;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// The topic to copy to; made if it is not there, with as many replicas as the other one
    #[arg(long, value_name = "TOPIC")]
    pub to: String,
    /// How many shards it has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SHARDS_MAX))]
    pub shards: u32,
}

const HELP: &str = "\
Examples:
  command-api reshard --to tradewind.events.2 --shards 16

It copies the topic of kafka.topic, which stays as it is. Stop all nodes of the command API first: it \
refuses while one is heard, and when the topic is written to meanwhile. A run that was cut off goes on \
where it was when it is started again. What comes next is in docs/operations.md: kafka.topic, the state \
stores and the read models.";

/// Nodes without the secret are alone, and beat nowhere.
const DEAF: &str = "without node.peer_secret no node can be heard: make sure yourself that none runs, for what \
one accepts on the old topic after the copy is in no new one";

/// # Errors
/// There is no copy, or not all of it; the error says what to do.
pub fn run(settings: ReshardSettings, options: Options) -> BoxFuture<'static, Result<()>> {
    async move {
        let ReshardSettings { kafka, meeting } = settings;
        let Options { to, shards } = options;
        if to == kafka.topic {
            bail!("{to} is the topic that is copied: name another one");
        }
        match &meeting {
            Some(meeting) => refuse_living(&kafka, meeting).await?,
            None => progress::say(DEAF),
        }
        let source = connect(&kafka, &kafka.topic).await?;
        let spec = TopicSpec::like(&kafka, &kafka.topic, shards).await?;
        ensure_topic(&kafka, &to, spec).await?;
        let target = connect(&kafka, &to).await?;
        let (from, made) = (source.shard_count(), target.shard_count());
        if made != shards {
            bail!("{to} has {made} shards by now, and not {shards}");
        }
        let reshard = Reshard {
            source: Arc::new(source),
            source_progress: ProcessProgress::open(&kafka, PROGRESS_GROUP, &kafka.topic)?,
            target: Arc::new(target),
            target_progress: ProcessProgress::open(&kafka, PROGRESS_GROUP, &to)?,
            clock: Clock::System,
        };
        let mut progress = Progress::new();
        let copied = reshard.run(|passed, all| progress.show(passed, all)).await;
        drop(progress);
        let Copied { appended, found } = copied?;
        let topic = &kafka.topic;
        progress::say(&format!(
            "{topic} ({from} shards) is copied to {to} ({shards} shards): {appended} commits, beside \
             {found} that were there. Now set kafka.topic to {to}; docs/operations.md has the rest."
        ));
        Ok(())
    }
    .boxed()
}

async fn refuse_living(kafka: &config::Kafka, meeting: &Meeting) -> Result<()> {
    let key = PeerKey::new(&meeting.secret);
    let mut beats = KafkaBeats::open(kafka, &meeting.topic, key, Clock::System).await?;
    match nodes::living(&mut beats).await? {
        None => Ok(()),
        Some(node) => bail!("node {node:?} runs: stop all nodes of the command API first"),
    }
}

/// A broker may not have heard yet of a topic that was made a moment ago.
async fn connect(kafka: &config::Kafka, topic: &str) -> Result<KafkaLog> {
    let connect = || KafkaLog::connect(kafka, topic);
    let connected = retry(Policy::QUICK, |_: &ConnectError| true, connect).await;
    connected.with_context(|| format!("opening topic {topic}"))
}
