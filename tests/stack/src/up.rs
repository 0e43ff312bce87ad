//! `up`: starts what is missing, leaves what runs, waits until everything answers.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use crate::detours::Detours;
use crate::folder::Folder;
use crate::ports::{Ports, Size};
use crate::postgres::{self, Durability};
use crate::secrets::Secrets;
use crate::services::services;
use crate::state::{Existing, StackState};
use crate::{POSTGRES, cargo, console, database, dev_env, kafka, topic};

const DEFAULT_TOPIC: &str = "tradewind.events";

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Return when everything is ready; without it, follow the logs and end all parts on Ctrl-C
    #[arg(long)]
    pub detach: bool,

    /// Number of command-api nodes [default: as many as there were, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: Option<u8>,

    /// Number of Kafka brokers, 1 or 3 [default: as many as the data is of, else 1]
    #[arg(long, value_name = "N", value_parser = brokers)]
    pub brokers: Option<u8>,

    /// Number of shards, which a topic has for ever [default: as many as there are, else one per two cores and per node]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub shards: Option<u32>,

    /// Use the ports from this one on instead of 8080-8082, 8090-8092, 9092, 9093, 54329 and those after them
    #[arg(long, value_name = "PORT")]
    pub port_base: Option<u16>,

    /// Start the services as they were built last
    #[arg(long)]
    pub no_build: bool,
}

/// What `--brokers` may be.
///
/// # Errors
/// What it may be, in words.
pub fn brokers(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("one broker, or three of which any one may fail".to_owned()),
    }
}

/// Brings the stack up and returns when every part is ready.
///
/// # Errors
/// What is missing, taken or does not start, by name.
pub async fn up(folder: &Folder, args: &Args) -> Result<StackState> {
    let began = Instant::now();
    folder.create()?;
    let _lock = folder.lock().await?;
    let running = running(folder).await?;
    let state = decide(folder, args, &running)?;
    let missing = missing(&state, &running);
    state.ports.check_free(&missing)?;
    let secrets = Secrets::of(folder)?;
    state.write(folder)?;

    if !args.no_build
        && services(state.ports.nodes.len()).any(|service| missing.contains(&service.part))
    {
        console::step("building the services");
        cargo::build_services().await?;
    }
    start_servers(folder, &state, &secrets, Durability::Full).await?;
    console::step("preparing the topic and the database");
    let servers = state.bootstrap_servers();
    let brokers = state.ports.brokers.len();
    let shards = shards(&state, args).await?;
    let topic = topic::prepare(&servers, &state.topic, brokers, shards);
    let nodes = topic::prepare_for_nodes(&servers, brokers);
    tokio::try_join!(topic, nodes, database::prepare(&state, &secrets))?;
    dev_env::write(folder, &state, &secrets)?;
    start_services(folder, &state, &secrets).await?;
    console::step(&format!("ready after {}", seconds(began.elapsed())));
    Ok(state)
}

/// How many the topic has, or is to have if there is none.
async fn shards(state: &StackState, args: &Args) -> Result<u32> {
    let found = topic::shards_of(&state.bootstrap_servers(), &state.topic).await?;
    match (args.shards, found) {
        (Some(asked), Some(found)) if asked != found => bail!(
            "--shards {asked}: the topic here has {found}, for ever; `command-api reshard` copies \
             it to another one, `cargo stack reset` removes it"
        ),
        (asked, found) => {
            Ok(asked.or(found).unwrap_or_else(|| topic::shards_for(state.ports.nodes.len())))
        }
    }
}

/// Starts Kafka and PostgreSQL, as far as there are none to use, and waits until they answer.
///
/// # Errors
/// When one does not start, or an existing one does not answer.
pub async fn start_servers(
    folder: &Folder,
    state: &StackState,
    secrets: &Secrets,
    durability: Durability,
) -> Result<()> {
    let kafka = async {
        match &state.existing.kafka {
            Some(servers) => kafka::answers(servers)
                .await
                .with_context(|| format!("KAFKA_BOOTSTRAP_SERVERS={servers} does not answer")),
            None => timed("Kafka", kafka::start(folder, state)).await,
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

async fn start_services(folder: &Folder, state: &StackState, secrets: &Secrets) -> Result<()> {
    for service in services(state.ports.nodes.len()) {
        service.start(folder, state, secrets).await?;
    }
    for service in services(state.ports.nodes.len()) {
        timed(&service.part, service.wait_ready(folder, state)).await?;
    }
    Ok(())
}

async fn timed(part: &str, starting: impl Future<Output = Result<()>>) -> Result<()> {
    let began = Instant::now();
    starting.await?;
    console::step(&format!("{part} is ready ({})", seconds(began.elapsed())));
    Ok(())
}

/// The parts that run, of this stack or of any that was here before.
async fn running(folder: &Folder) -> Result<Vec<String>> {
    let mut running = vec![];
    for entry in fs::read_dir(folder.path("pids"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if folder.part(&name).pid().await?.is_some() {
            running.push(name);
        }
    }
    running.sort();
    Ok(running)
}

/// What an earlier `up` decided holds until `down`; only nodes may be added. After that, what is not
/// asked for is as it was.
fn decide(folder: &Folder, args: &Args, running: &[String]) -> Result<StackState> {
    let earlier = StackState::read(folder)?;
    let before = StackState::size(folder)?;
    let of_data = kafka::brokers_of_data(folder);
    let brokers = args.brokers.map(usize::from).or(of_data).or(before.map(|size| size.brokers));
    let brokers = brokers.unwrap_or(1);
    if let Some(of_data) = of_data
        && of_data != brokers
    {
        bail!("--brokers {brokers}: the data here is of {of_data}; `cargo stack reset` removes it");
    }
    let nodes_before = before.map_or(1, |size| size.nodes);
    let nodes = match args.nodes.map(usize::from) {
        None => nodes_before,
        Some(nodes) if earlier.is_some() => nodes_before.max(nodes),
        Some(nodes) => nodes,
    };
    let size = Size { nodes, brokers };
    let ports = args.port_base.map(|base| Ports::from_base(base, size)).transpose()?;
    match (earlier, ports) {
        (Some(state), None) => Ok(StackState { ports: grown(state.ports, size)?, ..state }),
        (Some(state), Some(ports)) if ports.nodes.starts_with(&state.ports.nodes) => {
            Ok(StackState { ports, ..state })
        }
        (Some(_), Some(_)) if !running.is_empty() => {
            bail!("{} runs on other ports: `cargo stack down` first", running.join(", "))
        }
        (_, ports) => Ok(StackState {
            ports: ports.unwrap_or_else(|| Ports::standard(size)),
            topic: DEFAULT_TOPIC.to_owned(),
            existing: Existing::of_environment(folder)?,
            detours: Detours::default(),
            guard: None,
            is_lasting: true,
        }),
    }
}

/// The same ports and those of the nodes that come to them.
fn grown(ports: Ports, size: Size) -> Result<Ports> {
    if ports.size() == size && ports.ops.nodes.len() == size.nodes {
        return Ok(ports);
    }
    let first = ports.nodes.first().copied().unwrap_or_default();
    let standard = Ports::standard(size);
    let larger =
        if standard.nodes.contains(&first) { standard } else { Ports::from_base(first, size)? };
    ensure!(larger.nodes.starts_with(&ports.nodes), "the ports of this stack leave no room");
    Ok(larger)
}

fn missing(state: &StackState, running: &[String]) -> Vec<String> {
    state.parts().into_iter().filter(|part| !running.contains(part)).collect()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(folder: &Folder, nodes: Option<u8>, brokers: Option<u8>) -> Size {
        let args = Args { nodes, brokers, ..Args::default() };
        let state = decide(folder, &args, &[]).unwrap();
        state.write(folder).unwrap();
        state.ports.size()
    }

    #[test]
    fn up_after_down_brings_back_as_many_parts_as_there_were() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path());
        let size = |nodes, brokers| Size { nodes, brokers };
        assert_eq!(up(&folder, None, None), size(1, 1));
        assert_eq!(up(&folder, Some(3), None), size(3, 1));
        assert_eq!(up(&folder, Some(2), None), size(3, 1), "nodes are only added to what is there");
        // However often it is put down.
        for _ in 0..2 {
            StackState::put_down(&folder).unwrap();
        }
        assert_eq!(StackState::read(&folder).unwrap(), None);
        assert_eq!(up(&folder, None, None), size(3, 1));
        StackState::put_down(&folder).unwrap();
        assert_eq!(up(&folder, Some(2), Some(3)), size(2, 3), "what is asked for counts");
        StackState::put_down(&folder).unwrap();
        assert_eq!(up(&folder, None, None), size(2, 3));
    }
}
