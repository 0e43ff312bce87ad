//! How fast a projector makes a read model of a log of sales, and how much memory it takes for it.
//!
//! The projector is a process of its own with a database of its own; what is measured goes through its
//! admin API, from the order until the version stands by.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use infra::{
    config,
    log::kafka::{KafkaLog, TopicSpec, ensure_topic},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{
    figure::{Figure, per_second},
    memory::Memory,
    sales, topic,
};
use crate::{
    eventually::eventually,
    plain_http,
    stack::{
        database::{self, Template},
        folder::Folder,
        secrets::Secrets,
        services::{self, Role, Wiring, readiness},
        state::{OWNER, State},
    },
};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);
const BUILD_WAIT_MAX: Duration = Duration::from_secs(1_200);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Orders are documents with a timeline; stock is a row of numbers.
const PROJECTIONS: [&str; 2] = ["orders", "stock"];

pub(super) async fn run(rounds: usize, folder: &Folder, events: u32) -> Result<()> {
    let state = State::read(folder)?.context("the stack has a state")?;
    let secrets = Secrets::of(folder)?;
    let id = Uuid::new_v4().simple().to_string();
    let (name, database) = (format!("tradewind.bench.{id}"), format!("bench_{id}"));
    let kafka = config::Kafka::plaintext(state.bootstrap_servers(), &name);
    ensure_topic(&kafka, &name, TopicSpec::local(4)).await?;
    let log = KafkaLog::connect(&kafka, &name).await?;
    let events = sales::append(&log, u64::from(events) / sales::EVENTS).await?;
    drop(log);
    let admin = state.admin_url(&secrets);
    database::create(&admin, &database, Template::Empty, Some(OWNER)).await?;
    let wiring = Wiring {
        bind: TcpListener::bind(("127.0.0.1", 0))?.local_addr()?,
        bootstrap_servers: state.bootstrap_servers(),
        topic: name.clone(),
        databases: state.databases_named(&secrets, Some(&database)),
        node: None,
        secrets,
        state: folder.root().to_owned(),
        snapshots: folder.root().to_owned(),
    };
    let measured = measure(&wiring, rounds, usize::try_from(events)?).await;
    database::remove(&admin, &database).await?;
    topic::delete(&wiring.bootstrap_servers, &[&name]).await?;
    measured
}

async fn measure(wiring: &Wiring, rounds: usize, events: usize) -> Result<()> {
    database::migrate(&wiring.databases.migrator).await?;
    let projector = Projector::start(wiring).await?;
    projector
        .wait_for("the first versions", |status| {
            let items = status["items"].as_array().map_or(&[][..], Vec::as_slice);
            let is_level = |it: &Value| it["log_end"] != 0 && it["lag_records"] == 0;
            !items.is_empty() && items.iter().all(is_level)
        })
        .await?;
    let live = projector.memory()?;
    for name in PROJECTIONS {
        let mut rates = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            let begun = projector.ask("rebuild", name, &json!({})).await?;
            let version = begun["version"].clone();
            projector
                .wait_for("the build", |status| {
                    let versions = status["versions"].as_array().into_iter().flatten();
                    let mut own = versions.filter(|it| it["projection"] == name);
                    own.any(|it| it["version"] == version && it["state"] == "standby")
                })
                .await?;
            rates.push(per_second(events, began.elapsed())?);
            projector.ask("drop", name, &json!({ "version": version })).await?;
        }
        rates.sort_by(f64::total_cmp);
        let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
        let figure = format!("rebuild_{name}_events_per_second");
        Figure::aimed(&figure, median, aim(name), "1/s", rounds).print()?;
    }
    let peak = projector.memory()?;
    projector.stop().await?;
    Figure::single("projector_memory_peak_live", live.peak_mb, "MB").print()?;
    Figure::single("projector_memory_peak_of_rebuilds", peak.peak_mb, "MB").print()
}

fn aim(name: &str) -> f64 {
    if name == "orders" { 300_000.0 } else { 1_000_000.0 }
}

struct Projector {
    process: Child,
    pid: i32,
    url: String,
    operator_key: String,
    http: reqwest::Client,
}

impl Projector {
    async fn start(wiring: &Wiring) -> Result<Self> {
        let process = Command::new(services::folder_of_binaries()?.join("projector"))
            .arg("run")
            .env_clear()
            .envs(wiring.env(Role::Projector))
            .env("TRADEWIND_LOG__FILTER", "warn")
            .current_dir(Path::new("/"))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = i32::try_from(process.id().context("a process that runs")?)?;
        let url = format!("http://{}", wiring.bind);
        eventually("the projector is ready", READY_WAIT_MAX, || readiness(&url)).await;
        let operator_key = wiring.secrets.operator_key.clone();
        let http = plain_http::builder().timeout(READY_WAIT_MAX).build()?;
        Ok(Self { process, pid, url, operator_key, http })
    }

    fn memory(&self) -> Result<Memory> {
        Memory::of(self.pid)
    }

    async fn ask(&self, action: &str, name: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/v1/admin/projections/{name}/{action}", self.url);
        let request = self.http.post(url).bearer_auth(&self.operator_key).json(body);
        let response = request.send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        ensure!(status.is_success(), "{action} {name}: {answer}");
        Ok(answer)
    }

    async fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + BUILD_WAIT_MAX;
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let url = format!("{}/v1/admin/status", self.url);
            let request = self.http.get(url).bearer_auth(&self.operator_key);
            let status: Value = request.send().await?.json().await?;
            if is_it(&status) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("waited {BUILD_WAIT_MAX:?} for {what}; last seen: {status}");
            }
        }
    }

    async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(READY_WAIT_MAX, self.process.wait()).await??;
        ensure!(ended.success(), "the projector ended with {ended}");
        Ok(())
    }
}
