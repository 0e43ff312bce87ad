//! Apache Kafka: fetched by Maven, formatted once, run as one broker or three, each of which is a
//! controller as well, so that of three any one may die.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::eventually::wait_for;
use crate::folder::Folder;
use crate::guard::Guard;
use crate::process::Launch;
use crate::state::StackState;
use crate::tool::{self, Run};
use crate::{broker, cache, console};

const POM: &str = include_str!("../../kafka/pom.xml");
const LOG4J: &str = include_str!("../../kafka/log4j2.xml");
const FETCH_WAIT_MAX: Duration = Duration::from_secs(600);
const FORMAT_WAIT_MAX: Duration = Duration::from_secs(60);
const START_WAIT_MAX: Duration = Duration::from_secs(90);
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Any constant will do: the cluster never meets another one.
const CLUSTER_ID: &str = "dHJhZGV3aW5kLWxvY2FsMA";

/// Two cores and a laptop's memory: the page cache does the work, the heap holds little.
const JVM: [&str; 3] = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true"];
/// Without the optimizing compiler a broker takes half as much processor time in its first minute under
/// load, and twice as much after it.
const JVM_OF_A_TEST: &str = "-XX:TieredStopAtLevel=1";

/// Copies of each partition, where there are as many brokers.
pub const COPIES: usize = 3;

/// The number of brokers that the data in the folder belongs to, if there is any.
#[must_use]
pub fn brokers_of_data(folder: &Folder) -> Option<usize> {
    let has_data = |number: &usize| folder.data(&broker(*number)).exists();
    (1..).take_while(has_data).last()
}

/// Starts the brokers that do not run, and waits until all answer and know each other.
///
/// # Errors
/// When a tool is missing, or Kafka cannot be fetched or does not start.
pub async fn start(folder: &Folder, state: &StackState) -> Result<()> {
    let numbers = 1..=state.ports.brokers.len();
    // All before any is waited for: the first cannot work without a second.
    for number in numbers.clone() {
        launch(folder, state, number).await?;
    }
    for number in numbers {
        wait_for_broker(folder, state, number).await?;
    }
    Ok(())
}

/// Starts one broker if it does not run, and does not wait for it.
///
/// # Errors
/// When a tool is missing, or Kafka cannot be fetched or started.
pub async fn launch(folder: &Folder, state: &StackState, number: usize) -> Result<()> {
    let part = folder.part(&broker(number));
    if part.pid().await?.is_some() {
        return Ok(());
    }
    let java = tool::java().await?;
    let jars = fetch().await?;
    let conf = configure(folder, state, number)?;
    let heap_mb = if state.ports.brokers.len() == 1 { (256, 512) } else { (128, 320) };
    let (guard, is_lasting) = (state.guard.as_ref(), state.is_lasting);
    let java_run = JavaRun { java, jars, conf, number, heap_mb, guard, is_lasting };
    if !folder.data(&broker(number)).join("meta.properties").exists() {
        java_run.format().await?;
    }
    part.start(java_run.broker()).await?;
    Ok(())
}

/// Waits until a broker answers, and knows as many others as there are.
///
/// # Errors
/// When it ends, or does not get that far in time.
pub async fn wait_for_broker(folder: &Folder, state: &StackState, number: usize) -> Result<()> {
    let part = folder.part(&broker(number));
    let count = state.ports.brokers.len();
    let ports = state.ports.brokers.get(number - 1).context("a broker of this stack")?;
    let bootstrap = format!("127.0.0.1:{}", ports.broker);
    wait_for("Kafka to answer", START_WAIT_MAX, || async {
        let found = match brokers(&bootstrap).await {
            Ok(found) if found >= count => return ControlFlow::Break(Ok(())),
            Ok(found) => format!("{found} of {count} brokers"),
            Err(error) => format!("{error:#}"),
        };
        match part.pid().await {
            Ok(Some(_)) => ControlFlow::Continue(found),
            Ok(None) => ControlFlow::Break(Err(anyhow!("Kafka ended"))),
            Err(error) => ControlFlow::Break(Err(error)),
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
    let count = brokers(bootstrap_servers).await?;
    ensure!(count > 0, "no broker is registered yet");
    Ok(())
}

async fn brokers(bootstrap_servers: &str) -> Result<usize> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers);
    // The wait is ours to report; the client's own lines about refused connections only scare.
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    let probing = tokio::task::spawn_blocking(move || -> Result<usize> {
        let client: BaseConsumer = config.create()?;
        Ok(client.fetch_metadata(None, PROBE_WAIT_MAX)?.brokers().len())
    });
    probing.await?
}

/// The jars of Kafka, which its tools are in, too.
///
/// # Errors
/// When they cannot be fetched.
pub async fn fetch() -> Result<PathBuf> {
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

/// Writes a broker's configuration, anew at each start since ports may have moved.
fn configure(folder: &Folder, state: &StackState, number: usize) -> Result<PathBuf> {
    let conf = folder.path("conf");
    fs::write(
        conf.join(format!("{}.properties", broker(number))),
        properties(folder, state, number),
    )
    .context("writing Kafka's settings")?;
    fs::write(conf.join("log4j2.xml"), LOG4J).context("writing Kafka's log settings")?;
    Ok(conf)
}

fn properties(folder: &Folder, state: &StackState, number: usize) -> String {
    let ports = &state.ports.brokers;
    let voters: Vec<String> = (1..)
        .zip(ports)
        .map(|(number, ports): (usize, _)| format!("{number}@127.0.0.1:{}", ports.controller))
        .collect();
    let own = ports[number - 1];
    let (mut listeners, mut advertised, mut protocols) = (
        format!("PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", own.broker, own.controller),
        format!("PLAINTEXT://127.0.0.1:{}", own.broker),
        "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
    );
    for (name, listener) in state.detours.of_broker(number) {
        listeners.push_str(&format!(",{name}://127.0.0.1:{}", listener.bind));
        advertised.push_str(&format!(",{name}://127.0.0.1:{}", listener.advertised));
        protocols.push_str(&format!(",{name}:PLAINTEXT"));
    }
    for (name, port, protocol) in state.guard.iter().flat_map(Guard::listeners) {
        listeners.push_str(&format!(",{name}://127.0.0.1:{port}"));
        advertised.push_str(&format!(",{name}://127.0.0.1:{port}"));
        protocols.push_str(&format!(",{name}:{protocol}"));
    }
    let guard = state.guard.as_ref().map(Guard::properties).unwrap_or_default();
    let (copies, insync) = if ports.len() < COPIES { (1, 1) } else { (COPIES, 2) };
    format!(
        "process.roles=broker,controller\n\
         node.id={number}\n\
         controller.quorum.voters={voters}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map={protocols}\n\
         listeners={listeners}\n\
         advertised.listeners={advertised}\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         unclean.leader.election.enable=false\n\
         default.replication.factor={copies}\n\
         min.insync.replicas={insync}\n\
         offsets.topic.replication.factor={copies}\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr={insync}\n\
         share.coordinator.state.topic.replication.factor={copies}\n\
         share.coordinator.state.topic.min.isr={insync}\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=8388608\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         # A broker that was killed may register again after this long, not after nine seconds.\n\
         broker.session.timeout.ms=2000\n\
         broker.heartbeat.interval.ms=500\n\
         # A follower that hangs holds up an append for this long, not for thirty seconds.\n\
         replica.lag.time.max.ms=3000\n\
         {guard}",
        voters = voters.join(","),
        data = folder.data(&broker(number)).display(),
    )
}

struct JavaRun<'a> {
    java: PathBuf,
    jars: PathBuf,
    conf: PathBuf,
    number: usize,
    /// At the start and at most.
    heap_mb: (u32, u32),
    guard: Option<&'a Guard>,
    is_lasting: bool,
}

impl JavaRun<'_> {
    async fn format(&self) -> Result<()> {
        Run::new(&self.java)
            .args(self.common_args())
            .args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"])
            .arg(self.properties())
            .args(self.guard.map(Guard::format_args).unwrap_or_default())
            .within(FORMAT_WAIT_MAX)
            .output()
            .await
            .map(drop)
            .context("formatting Kafka's storage")
    }

    fn broker(&self) -> Launch {
        let (begin, most) = self.heap_mb;
        let mut args = vec![format!("-Xms{begin}m"), format!("-Xmx{most}m")];
        args.extend(JVM.map(str::to_owned));
        if !self.is_lasting {
            args.push(JVM_OF_A_TEST.to_owned());
        }
        args.extend(self.guard.iter().flat_map(|guard| guard.jvm_args()));
        args.extend(self.common_args());
        args.push("kafka.Kafka".to_owned());
        args.push(self.properties().display().to_string());
        Launch { program: self.java.clone(), args, ..Launch::default() }
    }

    fn properties(&self) -> PathBuf {
        self.conf.join(format!("{}.properties", broker(self.number)))
    }

    fn common_args(&self) -> [String; 3] {
        [
            format!("-Dlog4j2.configurationFile={}", self.conf.join("log4j2.xml").display()),
            "-cp".to_owned(),
            format!("{}/*", self.jars.display()),
        ]
    }
}
