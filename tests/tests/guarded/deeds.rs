//! All that each service does with Kafka, in short, and the errors that it meets.

use std::time::Duration;

use domain::shard::ShardId;
use infra::clock::Clock;
use infra::config;
use infra::log::kafka::{KafkaLog, ensure_topic};
use infra::log::progress::Progress;
use infra::log::{Checkpoint, EventLog, Nonce, OutgoingRecord, Prefetch, Ticket, sample};
use infra::membership::seal::PeerKey;
use infra::membership::{Beat, Beats, kafka::KafkaBeats};
use tokio::time::{Instant, timeout};

use crate::rig::{EVENTS, NODES, specs};

/// Long enough for a busy machine; only what is refused in silence waits it out.
const PATIENCE: Duration = Duration::from_secs(10);
const SHARD: ShardId = ShardId::new(0);

/// What went wrong, each with its causes.
pub(crate) type Troubles = Vec<String>;
pub(crate) const NO_TROUBLES: Troubles = Vec::new();

pub(crate) async fn of(service: &str, kafka: &config::Kafka) -> Troubles {
    match service {
        "command-api" => command_api(kafka).await,
        "projector" => projector(kafka).await,
        "query-api" => query_api(kafka).await,
        "provisioner" => provisioner(kafka).await,
        other => vec![format!("nobody knows what {other} does")],
    }
}

async fn command_api(kafka: &config::Kafka) -> Troubles {
    let log = match KafkaLog::connect(kafka, EVENTS).await {
        Ok(log) => log,
        Err(error) => return vec![told(&error)],
    };
    let mut troubles = vec![];
    troubles.extend(claim(&log).await.err());
    troubles.extend(read(&log).await.err());
    troubles.extend(follow(kafka, "tradewind.process").await.err());
    troubles.extend(meet(kafka).await.err());
    troubles
}

async fn projector(kafka: &config::Kafka) -> Troubles {
    let log = match KafkaLog::connect(kafka, EVENTS).await {
        Ok(log) => log,
        Err(error) => return vec![told(&error)],
    };
    let mut troubles = vec![];
    troubles.extend(read(&log).await.err());
    troubles.extend(follow(kafka, "tradewind.projector").await.err());
    troubles
}

/// Replays.
async fn query_api(kafka: &config::Kafka) -> Troubles {
    let log = match KafkaLog::connect(kafka, EVENTS).await {
        Ok(log) => log,
        Err(error) => return vec![told(&error)],
    };
    let mut troubles = vec![];
    let found = log.offset_at(SHARD, Clock::System.now()).await;
    troubles.extend(found.err().map(|error| told(&error)));
    troubles.extend(read(&log).await.err());
    troubles
}

async fn provisioner(kafka: &config::Kafka) -> Troubles {
    let ((events, nodes), mut troubles) = (specs(), vec![]);
    // Made at first, checked then.
    for _ in 0..2 {
        for (topic, spec) in [(EVENTS, events), (NODES, nodes)] {
            troubles.extend(ensure_topic(kafka, topic, spec).await.err().map(|error| told(&error)));
        }
    }
    troubles
}

/// Appends a record.
pub(crate) async fn claim(log: &KafkaLog) -> Result<(), String> {
    let (mut writer, mut reports) = log.open_writer(SHARD).await.map_err(|error| told(&error))?;
    let claim = OutgoingRecord::Claim(sample::claim(Nonce::random()));
    writer.append(&claim, Ticket::CLAIM).map_err(|error| told(&error))?;
    match timeout(PATIENCE, reports.recv()).await {
        Ok(Some(report)) => report.result.map(drop).map_err(|error| told(&error)),
        _ => Err("no report".to_owned()),
    }
}

/// Reads to the end of the log, and a moment longer.
pub(crate) async fn read(log: &KafkaLog) -> Result<(), String> {
    let end = log.range(SHARD).await.map_err(|error| told(&error))?.end;
    let mut reader =
        log.open_reader(SHARD, 0, Prefetch::Ahead).await.map_err(|error| told(&error))?;
    let (began, mut next) = (Instant::now(), 0);
    while next < end {
        let records = reader.read(100, Duration::from_secs(1)).await.map_err(|e| told(&e))?;
        next = records.last().map_or(next, |last| last.offset + 1);
        if began.elapsed() > PATIENCE {
            return Err(format!("read up to {next} of {end}"));
        }
    }
    // What is refused to who is not in a group comes beside the records.
    reader.read(100, Duration::from_secs(1)).await.map(drop).map_err(|error| told(&error))
}

/// Keeps a place in a group.
pub(crate) async fn follow(kafka: &config::Kafka, group: &str) -> Result<(), String> {
    let progress = Progress::open(kafka, group, EVENTS).map_err(|error| told(&error))?;
    progress.load(SHARD).await.map_err(|error| told(&error))?;
    progress.store(SHARD, Checkpoint::START).await.map_err(|error| told(&error))
}

/// Beats, and hears it.
async fn meet(kafka: &config::Kafka) -> Result<(), String> {
    let key = PeerKey::new(&"a secret of all nodes".to_owned().into());
    let beats = KafkaBeats::open(kafka, NODES, key, Clock::System).await;
    let mut beats = beats.map_err(|error| told(&error))?;
    let (node, until) = (format!("node-{}", Nonce::random()), Instant::now() + PATIENCE);
    let beat = Beat::new("http://127.0.0.1:1", Nonce::random(), false);
    while Instant::now() < until {
        beats.send(&node, Some(&beat));
        match timeout(Duration::from_millis(200), beats.hear()).await {
            Ok(Ok(heard)) if heard.node == node => return Ok(()),
            Ok(Err(error)) => return Err(told(&error)),
            _ => {}
        }
    }
    Err("its own beat does not come back".to_owned())
}

fn told(error: &(dyn std::error::Error + 'static)) -> String {
    infra::telemetry::chain(error).to_string()
}
