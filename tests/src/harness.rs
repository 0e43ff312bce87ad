//! What tests start: a whole Tradewind of their own, in this process, on servers that all tests share.
//!
//! Each stack has its own topic and database. The services get the settings that the local stack gives
//! its processes, but for the port.
#![expect(clippy::expect_used, reason = "a stack that does not start or end fails its test")]

pub mod client;
pub mod servers;

use std::time::Duration;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{FutureExt, future::BoxFuture};
use hmac::{Hmac, Mac};
use infra::config::{Layers, Settings};
use infra::shutdown::Shutdown;
use infra::task::{self, Task};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use uuid::Uuid;

use client::{Answer, Client, send};
use servers::Servers;
use stack::eventually::eventually;
use stack::folder::Folder;
use stack::services::{Node, Role, Wiring, readiness};
use stack::state::Databases;
use stack::{down, plain_http};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);
const END_WAIT_MAX: Duration = Duration::from_secs(60);

/// A running Tradewind. End it with [`Stack::finish`], which checks that no part has failed.
pub struct Stack {
    servers: &'static Servers,
    topic: String,
    database: String,
    databases: Databases,
    command_url: String,
    query_url: String,
    projector_url: String,
    keys: Keys,
    shutdown: Shutdown,
    tasks: Vec<Task<Result<()>>>,
    /// Of the command API's store; removed when this is dropped.
    _state: TempDir,
}

/// Where a stack's Kafka is if it is not that of all tests, and how its services get in.
pub struct Elsewhere {
    pub topic: String,
    /// What the command API is to the nodes that it then looks for.
    pub node: Node,
    /// Settings of each service that count more than those that it has anyway.
    pub settings: Box<dyn Fn(Role) -> Vec<(String, String)> + Send + Sync>,
}

/// The log that a stack runs over.
enum Over {
    New,
    /// That of this topic.
    Topic(String),
    Elsewhere(Elsewhere),
}

/// One API key per role.
struct Keys {
    operator: String,
    staff: String,
    analyst: String,
}

impl Stack {
    /// # Panics
    /// When anything does not start: no test can go on without.
    pub fn start() -> BoxFuture<'static, Self> {
        Self::with_keys(Over::New)
    }

    /// # Panics
    /// When anything does not start.
    pub fn start_on(elsewhere: Elsewhere) -> BoxFuture<'static, Self> {
        Self::with_keys(Over::Elsewhere(elsewhere))
    }

    fn with_keys(over: Over) -> BoxFuture<'static, Self> {
        async move {
            let mut stack = Self::begin(over).await.expect("a stack starts");
            stack.ready().await;
            stack.keys.staff = stack.issue_key("staff").await;
            stack.keys.analyst = stack.issue_key("analyst").await;
            stack
        }
        .boxed()
    }

    /// Over a log that is there, with empty stores and read models. It writes nothing by itself, so the
    /// operator's key has to do for all roles.
    ///
    /// # Panics
    /// As [`Stack::start`].
    pub fn start_over(topic: &str) -> BoxFuture<'static, Self> {
        let topic = topic.to_owned();
        async move {
            let mut stack = Self::begin(Over::Topic(topic)).await.expect("a stack starts");
            stack.ready().await;
            stack.keys.staff.clone_from(&stack.keys.operator);
            stack.keys.analyst.clone_from(&stack.keys.operator);
            stack
        }
        .boxed()
    }

    async fn ready(&self) {
        for url in [&self.command_url, &self.query_url, &self.projector_url] {
            eventually(&format!("{url} is ready"), READY_WAIT_MAX, || readiness(url)).await;
        }
    }

    async fn begin(over: Over) -> Result<Self> {
        let servers = servers::shared().await?;
        let name = Uuid::new_v4().simple();
        let database = format!("test_{name}");
        let (topic, node, more) = match over {
            Over::New => {
                let topic = format!("test.{name}");
                servers.create_topic(&topic).await?;
                (topic, None, None)
            }
            Over::Topic(topic) => (topic, None, None),
            Over::Elsewhere(Elsewhere { topic, node, settings }) => {
                (topic, Some(node), Some(settings))
            }
        };
        let databases = servers.create_database(&database).await?;
        let state = tempfile::tempdir().context("a folder for the state store")?;
        let wiring = Wiring {
            bind: "127.0.0.1:0".parse().context("an address")?,
            ops_bind: "127.0.0.1:0".parse().context("an address")?,
            bootstrap_servers: servers.bootstrap_servers(),
            topic: topic.clone(),
            databases: databases.clone(),
            secrets: servers.secrets().clone(),
            node,
            state: state.path().to_owned(),
            snapshots: state.path().join("snapshots"),
        };
        let shutdown = Shutdown::new();
        let (mut tasks, ending) = (Vec::new(), || shutdown.clone());
        let more = |role| more.as_ref().map(|settings| settings(role)).unwrap_or_default();

        let service = command_api::Service::bind(settings(
            &wiring,
            Role::CommandApi,
            more(Role::CommandApi),
        )?)?;
        let command_url = format!("http://{}", service.local_addr());
        tasks.push(task::spawn("command-api", service.run(ending())));

        let settings_of_projector = settings(&wiring, Role::Projector, more(Role::Projector))?;
        let service = projector::Service::bind(settings_of_projector, projector::Source::Kafka)?;
        let projector_url = format!("http://{}", service.local_addr());
        let running = service.run(ending());
        tasks.push(task::spawn("projector", async { Ok(running.await?) }));

        let service =
            query_api::Service::bind(settings(&wiring, Role::QueryApi, more(Role::QueryApi))?)?;
        let query_url = format!("http://{}", service.local_addr());
        let running = service.run(ending());
        tasks.push(task::spawn("query-api", async { Ok(running.await?) }));

        let operator = servers.secrets().operator_key.clone();
        let keys = Keys { operator, staff: String::new(), analyst: String::new() };
        Ok(Self {
            servers,
            topic,
            database,
            databases,
            command_url,
            query_url,
            projector_url,
            keys,
            shutdown,
            tasks,
            _state: state,
        })
    }

    #[must_use]
    pub fn anon(&self) -> Client {
        self.client(None)
    }

    #[must_use]
    pub fn staff(&self) -> Client {
        self.client(Some(&self.keys.staff))
    }

    #[must_use]
    pub fn analyst(&self) -> Client {
        self.client(Some(&self.keys.analyst))
    }

    #[must_use]
    pub fn operator(&self) -> Client {
        self.client(Some(&self.keys.operator))
    }

    /// An operator at the projector's door.
    #[must_use]
    pub fn projector(&self) -> Client {
        let (url, key) = (&self.projector_url, &self.keys.operator);
        Client::new(url, url, Some(key.to_owned()))
    }

    #[must_use]
    pub fn client(&self, key: Option<&str>) -> Client {
        Client::new(&self.command_url, &self.query_url, key.map(str::to_owned))
    }

    /// What the sandbox of payments tells by itself, signed as Standard Webhooks has it.
    ///
    /// # Panics
    /// When the command API does not answer.
    pub async fn payment_webhook(&self, body: &Value) -> Answer {
        let url = format!("{}/v1/webhooks/payments/sandbox", self.command_url);
        let secret = &self.servers.secrets().payment_webhook_secret;
        send(signed_webhook(&plain_http::client(), &url, secret, body)).await
    }

    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.servers.bootstrap_servers()
    }

    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Where the read models are, for who reads them.
    #[must_use]
    pub fn read_models(&self) -> &str {
        &self.databases.query
    }

    /// The whole database, for who may see all of it.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.databases.reader
    }

    /// Ends the services in order and removes what the test has made.
    ///
    /// # Panics
    /// When a service failed, or does not end.
    pub fn finish(mut self) -> BoxFuture<'static, ()> {
        async move {
            assert!(!self.tasks.iter().any(Task::is_finished), "a service ended before the test");
            self.shutdown.request();
            for task in std::mem::take(&mut self.tasks) {
                let ended = tokio::time::timeout(END_WAIT_MAX, task).await;
                let returned = ended.expect("a service ends when it is asked to");
                returned
                    .expect("a service does not panic")
                    .expect("a service ends without an error");
            }
            self.servers.remove_database(&self.database).await.expect("removing the database");
        }
        .boxed()
    }

    /// A key with one role that both sides know.
    async fn issue_key(&self, role: &str) -> String {
        let body = json!({"name": role, "roles": [role]});
        let answer = self.operator().post("/v1/api-keys", &body).await.expect(201);
        let key = answer.text("/key").to_owned();
        let client = self.client(Some(&key));
        eventually("the query API knows the key", READY_WAIT_MAX, || async {
            let answer = client.get("/v1/reports/sales?group_by=day").await;
            if answer.status == 200 { Ok(()) } else { Err(answer.body) }
        })
        .await;
        key
    }
}

/// The settings that the local stack would give a process, read as the process would, under others.
fn settings<S: Settings>(wiring: &Wiring, role: Role, more: Vec<(String, String)>) -> Result<S> {
    Ok(Layers::default().environment(more).environment(wiring.env(role)).load()?.settings)
}

/// Ends all processes of a stack that a test has started. After a failure the log files stay.
///
/// # Panics
/// When a part does not end, unless the test has failed anyway.
pub fn end(folder: &Folder) {
    let (folder, has_failed) = (folder.clone(), std::thread::panicking());
    // The caller is in a runtime, which cannot wait for another one on its own thread.
    let ending = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        if has_failed {
            runtime.block_on(down::down(&folder))
        } else {
            runtime.block_on(down::reset(&folder))
        }
    });
    let ended = ending.join().expect("no panic");
    if !has_failed {
        ended.expect("every part ends");
    }
}

/// What the sandbox of payments tells by itself, signed as Standard Webhooks has it.
///
/// # Panics
/// When the secret is none.
pub fn signed_webhook(
    http: &reqwest::Client,
    url: &str,
    secret: &str,
    body: &Value,
) -> reqwest::RequestBuilder {
    let (id, body) = (Uuid::new_v4().to_string(), body.to_string());
    let timestamp = chrono::Utc::now().timestamp().to_string();
    let secret = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
    let mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key of any length");
    let mac = mac.chain_update(format!("{id}.{timestamp}.{body}")).finalize().into_bytes();
    let request = http.request(Method::POST, url);
    let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp);
    let request = request.header("webhook-signature", format!("v1,{}", STANDARD.encode(mac)));
    request.header("content-type", "application/json").body(body)
}
