//! Apache Kafka: fetched by Maven, formatted once, run as one broker that is its own controller.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::KAFKA;
use super::folder::Folder;
use super::process::Launch;
use super::tool::{self, Run};
use super::{cache, console};
use crate::eventually::wait_for;

const POM: &str = include_str!("../../kafka/pom.xml");
const LOG4J: &str = include_str!("../../kafka/log4j2.xml");
const FETCH_WAIT_MAX: Duration = Duration::from_secs(600);
const FORMAT_WAIT_MAX: Duration = Duration::from_secs(60);
const START_WAIT_MAX: Duration = Duration::from_secs(90);
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Any constant will do: the cluster never meets another one.
const CLUSTER_ID: &str = "dHJhZGV3aW5kLWxvY2FsMA";

/// Two cores and a laptop's memory: the page cache does the work, the heap holds little. Without the
/// optimizing compiler the broker uses half the CPU in the first minutes, which is as long as a local
/// stack mostly lives.
const JVM: [&str; 6] = [
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
];

/// Where one broker listens, on the loopback interface.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub broker: u16,
    pub controller: u16,
}

/// Starts the broker if it does not run, and waits until it answers.
///
/// # Errors
/// When a tool is missing, or Kafka cannot be fetched or does not start.
pub async fn start(folder: &Folder, ports: Ports) -> Result<()> {
    let part = folder.part(KAFKA);
    if part.pid().await?.is_none() {
        let java = tool::java().await?;
        let jars = fetch().await?;
        let conf = configure(folder, ports)?;
        let java_run = JavaRun { java, jars, conf };
        if !folder.data(KAFKA).join("meta.properties").exists() {
            java_run.format().await?;
        }
        part.start(java_run.broker()).await?;
    }
    let bootstrap = format!("127.0.0.1:{}", ports.broker);
    wait_for("Kafka to answer", START_WAIT_MAX, || async {
        match answers(&bootstrap).await {
            Ok(()) => ControlFlow::Break(Ok(())),
            Err(error) => match part.pid().await {
                Ok(Some(_)) => ControlFlow::Continue(format!("{error:#}")),
                Ok(None) => ControlFlow::Break(Err(anyhow!("Kafka ended"))),
                Err(error) => ControlFlow::Break(Err(error)),
            },
        }
    })
    .await
    .with_context(|| part.log_hint())
}

/// Whether the servers tell their brokers.
///
/// # Errors
/// When they do not, with the client's reason.
pub async fn answers(bootstrap_servers: &str) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers);
    // The wait is ours to report; the client's own lines about refused connections only scare.
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    let probing = tokio::task::spawn_blocking(move || -> Result<()> {
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(None, PROBE_WAIT_MAX)?;
        anyhow::ensure!(!metadata.brokers().is_empty(), "no broker is registered yet");
        Ok(())
    });
    probing.await?
}

async fn fetch() -> Result<PathBuf> {
    cache::entry("kafka", POM, |place| async move {
        console::step("fetching Apache Kafka with Maven");
        let pom = place.join("pom.xml");
        fs::write(&pom, POM)?;
        Run::new(Path::new("mvn"))
            .args(["--quiet", "--batch-mode", "--file"])
            .arg(&pom)
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-DoutputDirectory={}", place.display()))
            .within(FETCH_WAIT_MAX)
            .install_hint("install Maven (Debian: maven)")
            .output()
            .await
            .map(drop)
            .context("fetching Apache Kafka")
    })
    .await
}

/// Writes the broker's configuration, anew at each start since ports may have moved.
fn configure(folder: &Folder, ports: Ports) -> Result<PathBuf> {
    let conf = folder.path("conf");
    let Ports { broker, controller } = ports;
    let data = folder.data(KAFKA);
    let properties = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{broker}\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=8388608\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         # A broker that was killed may register again after this long, not after nine seconds.\n\
         broker.session.timeout.ms=2000\n\
         broker.heartbeat.interval.ms=500\n",
        data = data.display(),
    );
    fs::write(conf.join("kafka-1.properties"), properties).context("writing Kafka's settings")?;
    fs::write(conf.join("log4j2.xml"), LOG4J).context("writing Kafka's log settings")?;
    Ok(conf)
}

struct JavaRun {
    java: PathBuf,
    jars: PathBuf,
    conf: PathBuf,
}

impl JavaRun {
    async fn format(&self) -> Result<()> {
        Run::new(&self.java)
            .args(self.common_args())
            .args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"])
            .arg(self.conf.join("kafka-1.properties"))
            .within(FORMAT_WAIT_MAX)
            .output()
            .await
            .map(drop)
            .context("formatting Kafka's storage")
    }

    fn broker(&self) -> Launch {
        let mut args: Vec<String> = JVM.map(str::to_owned).to_vec();
        args.extend(self.common_args());
        args.push("kafka.Kafka".to_owned());
        args.push(self.conf.join("kafka-1.properties").display().to_string());
        Launch { program: self.java.clone(), args, ..Launch::default() }
    }

    fn common_args(&self) -> [String; 3] {
        [
            format!("-Dlog4j2.configurationFile={}", self.conf.join("log4j2.xml").display()),
            "-cp".to_owned(),
            format!("{}/*", self.jars.display()),
        ]
    }
}
