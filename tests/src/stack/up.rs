//! `up`: starts what is missing, leaves what runs, waits until everything answers.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::folder::Folder;
use super::ports::Ports;
use super::postgres::{self, Durability};
use super::secrets::Secrets;
use super::services::{self, SERVICES};
use super::state::{Existing, State};
use super::{KAFKA, PARTS, POSTGRES, console, database, dev_env, kafka, topic};

const DEFAULT_TOPIC: &str = "tradewind.events";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Return when everything is ready; without it, follow the logs and end all parts on Ctrl-C
    #[arg(long)]
    pub detach: bool,

    /// Number of command-api nodes (this release runs one)
    #[arg(long, default_value_t = 1)]
    pub nodes: u32,

    /// Number of Kafka brokers (this release runs one)
    #[arg(long, default_value_t = 1)]
    pub brokers: u32,

    /// Use six ports from this one on instead of 8080-8082, 9092, 9093 and 54329
    #[arg(long, value_name = "PORT")]
    pub port_base: Option<u16>,

    /// Start the services as they were built last
    #[arg(long)]
    pub no_build: bool,
}

/// What `up --detach` without more means.
impl Default for Args {
    fn default() -> Self {
        Self { detach: true, nodes: 1, brokers: 1, port_base: None, no_build: false }
    }
}

/// Brings the stack up and returns when every part is ready.
///
/// # Errors
/// What is missing, taken or does not start, by name.
pub async fn up(folder: &Folder, args: &Args) -> Result<State> {
    ensure!(args.nodes == 1, "--nodes {}: this release runs one command-api node", args.nodes);
    ensure!(args.brokers == 1, "--brokers {}: this release runs one Kafka broker", args.brokers);
    let began = Instant::now();
    folder.create()?;
    let _lock = folder.lock().await?;
    let running = running(folder).await?;
    let state = decide(folder, args, &running)?;
    let missing = missing(&state, &running);
    state.ports.check_free(&missing)?;
    let secrets = Secrets::of(folder)?;
    state.write(folder)?;

    if !args.no_build && SERVICES.iter().any(|service| missing.contains(&service.part)) {
        services::build().await?;
    }
    start_servers(folder, &state, &secrets, Durability::Full).await?;
    console::step("preparing the topic and the database");
    let servers = state.bootstrap_servers();
    let topic = topic::prepare(&servers, &state.topic);
    tokio::try_join!(topic, database::prepare(&state, &secrets))?;
    dev_env::write(folder, &state, &secrets)?;
    start_services(folder, &state, &secrets).await?;
    console::step(&format!("ready after {}", seconds(began.elapsed())));
    Ok(state)
}

/// Starts Kafka and PostgreSQL, as far as there are none to use, and waits until they answer.
///
/// # Errors
/// When one does not start, or an existing one does not answer.
pub async fn start_servers(
    folder: &Folder,
    state: &State,
    secrets: &Secrets,
    durability: Durability,
) -> Result<()> {
    let kafka = async {
        match &state.existing.kafka {
            Some(servers) => kafka::answers(servers)
                .await
                .with_context(|| format!("KAFKA_BOOTSTRAP_SERVERS={servers} does not answer")),
            None => timed(KAFKA, kafka::start(folder, state.ports.of_kafka())).await,
        }
    };
    let postgres = async {
        match &state.existing.postgres {
            Some(url) => {
                postgres::answers(url).await.context("the server of DATABASE_URL does not answer")
            }
            None => {
                let (port, password) = (state.ports.postgres, &secrets.postgres_admin);
                timed(POSTGRES, postgres::start(folder, port, password, durability)).await
            }
        }
    };
    tokio::try_join!(kafka, postgres)?;
    Ok(())
}

async fn start_services(folder: &Folder, state: &State, secrets: &Secrets) -> Result<()> {
    for service in &SERVICES {
        service.start(folder, state, secrets).await?;
    }
    for service in &SERVICES {
        timed(service.part, service.wait_ready(folder, state)).await?;
    }
    Ok(())
}

async fn timed(part: &str, starting: impl Future<Output = Result<()>>) -> Result<()> {
    let began = Instant::now();
    starting.await?;
    console::step(&format!("{part} is ready ({})", seconds(began.elapsed())));
    Ok(())
}

async fn running(folder: &Folder) -> Result<Vec<&'static str>> {
    let mut running = vec![];
    for part in PARTS {
        if folder.part(part).pid().await?.is_some() {
            running.push(part);
        }
    }
    Ok(running)
}

/// What an earlier `up` decided holds until `down`.
fn decide(folder: &Folder, args: &Args, running: &[&str]) -> Result<State> {
    let earlier = State::read(folder)?;
    let ports = args.port_base.map(Ports::from_base).transpose()?;
    match (earlier, ports) {
        (Some(state), None) => Ok(state),
        (Some(state), Some(ports)) if state.ports == ports => Ok(state),
        (Some(_), Some(_)) if !running.is_empty() => {
            bail!("{} runs on other ports: `cargo stack down` first", running.join(", "))
        }
        (_, ports) => Ok(State {
            ports: ports.unwrap_or_default(),
            topic: DEFAULT_TOPIC.to_owned(),
            existing: Existing::of_environment(folder)?,
        }),
    }
}

fn missing(state: &State, running: &[&str]) -> Vec<&'static str> {
    let is_ours = |part: &str| match part {
        KAFKA => state.existing.kafka.is_none(),
        POSTGRES => state.existing.postgres.is_none(),
        _ => true,
    };
    PARTS.into_iter().filter(|part| is_ours(part) && !running.contains(part)).collect()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
