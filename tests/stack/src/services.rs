//! The three services, started with their own settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::cargo::folder_of_binaries;
use crate::eventually::wait_for;
use crate::folder::Folder;
use crate::plain_http;
use crate::process::Launch;
use crate::secrets::Secrets;
use crate::state::{Databases, StackState};
use crate::{POSTGRES, PROJECTOR, QUERY_API, broker, command_api};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// What all nodes share of the stack's data.
const SNAPSHOTS: &str = "snapshots";
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The services of Tradewind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    CommandApi,
    Projector,
    QueryApi,
}

/// One service of the stack, one node of it if there are several.
#[derive(Clone, Debug)]
pub struct Service {
    pub part: String,
    role: Role,
    /// Among those of its role, from 1.
    number: usize,
}

/// All services of a stack with so many command-api nodes.
pub fn services(nodes: usize) -> impl Iterator<Item = Service> {
    let node = |number| Service { part: command_api(number), role: Role::CommandApi, number };
    let single = |part: &str, role| Service { part: part.to_owned(), role, number: 1 };
    let others = [single(PROJECTOR, Role::Projector), single(QUERY_API, Role::QueryApi)];
    (1..=nodes).map(node).chain(others)
}

impl StackState {
    /// The names of all parts that are the stack's own, in the order in which they start.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let brokers = (1..=self.ports.brokers.len()).map(broker);
        let mut parts = vec![];
        if self.existing.kafka.is_none() {
            parts.extend(brokers);
        }
        if self.existing.postgres.is_none() {
            parts.push(POSTGRES.to_owned());
        }
        parts.extend(services(self.ports.nodes.len()).map(|service| service.part));
        parts
    }
}

/// What a service must know of the world around it.
pub struct Wiring {
    pub bind: SocketAddr,
    /// For operators and other nodes.
    pub ops_bind: SocketAddr,
    pub bootstrap_servers: String,
    pub topic: String,
    pub databases: Databases,
    pub secrets: Secrets,
    /// Where the command API keeps its state store.
    pub state: PathBuf,
    /// Where its nodes leave snapshots of it.
    pub snapshots: PathBuf,
    /// Of the command API, where there may be others.
    pub node: Option<Node>,
}

/// What a command-api node calls itself, and where the others reach it.
pub struct Node {
    pub name: String,
    pub url: String,
}

impl Wiring {
    /// The environment of a service, each with the rights that it needs.
    #[must_use]
    pub fn env(&self, role: Role) -> Vec<(String, String)> {
        let database = match role {
            Role::CommandApi => None,
            Role::Projector => Some(&self.databases.projector),
            Role::QueryApi => Some(&self.databases.query),
        };
        let mut pairs = vec![
            ("HTTP__BIND", self.bind.to_string()),
            ("OPS__BIND", self.ops_bind.to_string()),
            ("AUTH__OPERATOR_KEY_SHA256", self.secrets.operator_key_sha256()),
        ];
        if role != Role::Projector {
            pairs.push(("AUTH__CART_TOKEN_SECRET", self.secrets.cart_token_secret.clone()));
        }
        if role == Role::CommandApi {
            let webhook_secret = self.secrets.payment_webhook_secret.clone();
            pairs.push(("PAYMENT__SANDBOX_WEBHOOK_SECRET", webhook_secret));
            pairs.push(("STORE__PATH", self.state.display().to_string()));
            pairs.push(("SNAPSHOTS__LOCATION", self.snapshots.display().to_string()));
            // The log of a laptop is small, and its history short.
            pairs.push(("SNAPSHOTS__RECORDS_MIN", "20000".to_owned()));
            pairs.push(("SNAPSHOTS__INTERVAL_MIN", "1m".to_owned()));
        }
        if role != Role::CommandApi {
            pairs.push(("REPLAY__KEY", self.secrets.replay_key.clone()));
        }
        pairs.push(("KAFKA__BOOTSTRAP_SERVERS", self.bootstrap_servers.clone()));
        pairs.push(("KAFKA__TOPIC", self.topic.clone()));
        pairs.extend(database.map(|url| ("POSTGRES__URL", url.clone())));
        if let (Role::CommandApi, Some(node)) = (role, &self.node) {
            pairs.push(("NODE__NAME", node.name.clone()));
            pairs.push(("NODE__URL", node.url.clone()));
            pairs.push(("NODE__PEER_SECRET", self.secrets.peer_secret.clone()));
        }
        pairs.into_iter().map(|(key, value)| (format!("TRADEWIND_{key}"), value)).collect()
    }
}

impl Service {
    /// Starts the service if it does not run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(
        &self,
        folder: &Folder,
        state: &StackState,
        secrets: &Secrets,
    ) -> Result<()> {
        let part = folder.part(&self.part);
        if part.pid().await?.is_some() {
            return Ok(());
        }
        part.start(self.launch(folder, state, secrets)?).await?;
        Ok(())
    }

    /// What [`Service::start`] starts.
    ///
    /// # Errors
    /// When this program does not know where it is.
    pub fn launch(&self, folder: &Folder, state: &StackState, secrets: &Secrets) -> Result<Launch> {
        let (binary, verb) = self.role.command();
        let program = folder_of_binaries()?.join(binary);
        let args = vec![verb.to_owned()];
        let env = self.wiring(folder, state, secrets).env(self.role);
        Ok(Launch { program, args, env, user: None })
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Errors
    /// When the service ends, or is not ready in time; the error says why.
    pub async fn wait_ready(&self, folder: &Folder, state: &StackState) -> Result<()> {
        let part = folder.part(&self.part);
        let url = self.url(state);
        wait_for(&format!("{} to be ready", self.part), READY_WAIT_MAX, || async {
            match readiness(&url).await {
                Ok(()) => ControlFlow::Break(Ok(())),
                Err(error) => match part.pid().await {
                    Ok(Some(_)) => ControlFlow::Continue(format!("{error:#}")),
                    Ok(None) => ControlFlow::Break(Err(anyhow!("{} ended", self.part))),
                    Err(error) => ControlFlow::Break(Err(error)),
                },
            }
        })
        .await
        .with_context(|| part.log_hint())
    }

    #[must_use]
    pub fn url(&self, state: &StackState) -> String {
        format!("http://{}", self.address(state, 0))
    }

    /// Where operators and other nodes find it.
    #[must_use]
    pub fn ops_url(&self, state: &StackState) -> String {
        format!("http://{}", self.address(state, 1))
    }

    /// One of the part's ports.
    fn address(&self, state: &StackState, which: usize) -> SocketAddr {
        let port = state.ports.of(&self.part).get(which).copied().unwrap_or_default();
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn wiring(&self, folder: &Folder, state: &StackState, secrets: &Secrets) -> Wiring {
        let detour = (self.role == Role::CommandApi).then_some(&state.detours);
        let brokers = detour.and_then(|detours| detours.bootstrap_servers(self.number));
        let peer = detour.and_then(|detours| detours.peer(self.number));
        let url = match peer {
            Some(port) => format!("http://127.0.0.1:{port}"),
            None => self.ops_url(state),
        };
        Wiring {
            bind: self.address(state, 0),
            ops_bind: self.address(state, 1),
            bootstrap_servers: brokers.unwrap_or_else(|| state.bootstrap_servers()),
            topic: state.topic.clone(),
            databases: state.databases(secrets),
            secrets: secrets.clone(),
            state: folder.data(&self.part),
            snapshots: folder.data(SNAPSHOTS),
            node: Some(Node { name: self.part.clone(), url }),
        }
    }
}

impl Role {
    /// The binary, and what to tell it.
    #[must_use]
    pub fn command(self) -> (&'static str, &'static str) {
        match self {
            Self::CommandApi => ("command-api", "serve"),
            Self::Projector => ("projector", "run"),
            Self::QueryApi => ("query-api", "serve"),
        }
    }
}

/// Whether the service at `url` is ready.
///
/// # Errors
/// Its own reasons, or why it does not answer.
pub async fn readiness(url: &str) -> Result<()> {
    let client = plain_http::builder().timeout(PROBE_WAIT_MAX).build()?;
    let answer = client.get(format!("{url}/readyz")).send().await?;
    let status = answer.status();
    if !status.is_success() {
        bail!("{status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(())
}
