//! A projector with a log and a database that nothing else uses, and the operators' API of any.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use infra::{
    config,
    log::kafka::{KafkaLog, TopicSpec, ensure_topic},
};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::{
    process::{self, Process},
    topic,
};
use stack::{
    database::{self, Template},
    folder::Folder,
    plain_http,
    secrets::Secrets,
    services::{Role, Wiring},
    state::{OWNER, StackState},
};

const SHARDS: u32 = 4;
/// A number that no release has for what it makes of events.
const OTHER_FOLD: i32 = i32::MAX;
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
const BUILD_WAIT_MAX: Duration = Duration::from_secs(1_200);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Where projectors run: a log and a database.
pub(super) struct Site {
    wiring: Wiring,
    admin_url: String,
    database: String,
}

impl Site {
    /// Measures on an empty log and an empty database, and removes both.
    pub(super) async fn with(
        folder: &Folder,
        measure: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let site = Self::prepare(folder).await?;
        let measured = measure(&site).await;
        database::remove(&site.admin_url, &site.database).await?;
        topic::delete(&site.wiring.bootstrap_servers, &[&site.wiring.topic]).await?;
        measured
    }

    async fn prepare(folder: &Folder) -> Result<Self> {
        let state = StackState::read(folder)?.context("the stack has a state")?;
        let secrets = Secrets::of(folder)?;
        let database = format!("bench_{}", Uuid::new_v4().simple());
        let admin_url = state.admin_url(&secrets);
        let databases = state.databases_named(&secrets, Some(&database));
        let wiring = process::wiring(&state, secrets, databases, folder.root())?;
        let site = Self { wiring, admin_url, database };
        ensure_topic(&site.kafka(), &site.wiring.topic, TopicSpec::local(SHARDS)).await?;
        site.empty().await?;
        Ok(site)
    }

    fn kafka(&self) -> config::Kafka {
        config::Kafka::plaintext(&self.wiring.bootstrap_servers, &self.wiring.topic)
    }

    /// How long bare clients take to read the log.
    pub(super) async fn read_bare(&self) -> Result<Duration> {
        topic::read_bare(&self.wiring.bootstrap_servers, &self.wiring.topic).await
    }

    pub(super) async fn log(&self) -> Result<KafkaLog> {
        Ok(KafkaLog::connect(&self.kafka(), &self.wiring.topic).await?)
    }

    /// The database's URL for its owner.
    pub(super) fn database_url(&self) -> &str {
        &self.wiring.databases.migrator
    }

    pub(super) async fn start(&self) -> Result<(Process, Admin)> {
        // It would warn of the projections that it does not feed.
        let settings = [("TRADEWIND_LOG__FILTER", "error")];
        let process = Process::start(Role::Projector, &self.wiring, &settings).await?;
        let url = format!("http://{}", self.wiring.bind);
        Ok((process, Admin::new(&url, &self.wiring.secrets.operator_key)?))
    }

    /// Puts an empty database in the place of the one before.
    pub(super) async fn empty(&self) -> Result<()> {
        database::remove(&self.admin_url, &self.database).await?;
        database::create(&self.admin_url, &self.database, Template::Empty, Some(OWNER)).await?;
        database::migrate(self.database_url()).await
    }

    /// Has the empty database say that a release which does not run feeds all other projections.
    pub(super) async fn feed_only(&self, names: &[&str]) -> Result<()> {
        let all = read_models::ALL.iter().map(|projection| projection.name);
        let others: Vec<_> = all.filter(|other| !names.contains(other)).collect();
        let mut database = PgConnection::connect(self.database_url()).await?;
        sqlx::query(
            "INSERT INTO projection.versions (projection, version, fold, state)
             SELECT other, 1, $2, 'live' FROM unnest($1::text[]) AS other",
        )
        .bind(others)
        .bind(OTHER_FOLD)
        .execute(&mut database)
        .await?;
        Ok(database.close().await?)
    }
}

/// The operators' API of a projector.
pub(super) struct Admin {
    url: String,
    operator_key: String,
    http: reqwest::Client,
}

impl Admin {
    pub(super) fn new(url: &str, operator_key: &str) -> Result<Self> {
        let http = plain_http::builder().timeout(ANSWER_WAIT_MAX).build()?;
        Ok(Self { url: url.to_owned(), operator_key: operator_key.to_owned(), http })
    }

    pub(super) async fn ask(&self, action: &str, name: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/v1/admin/projections/{name}/{action}", self.url);
        let request = self.http.post(url).bearer_auth(&self.operator_key).json(body);
        let response = request.send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        ensure!(status.is_success(), "{action} {name}: {answer}");
        Ok(answer)
    }

    /// Builds a version, waits until it stands by, and drops it; tells how long the build took.
    pub(super) async fn rebuild(&self, name: &str) -> Result<Duration> {
        let began = Instant::now();
        let begun = self.ask("rebuild", name, &serde_json::json!({})).await?;
        let version = begun["version"].clone();
        self.wait_for("the build", |status| {
            let mut own = items(status, "versions").filter(|it| it["projection"] == name);
            own.any(|it| it["version"] == version && it["state"] == "standby")
        })
        .await?;
        let took = began.elapsed();
        self.ask("drop", name, &serde_json::json!({ "version": version })).await?;
        Ok(took)
    }

    /// Until these projections have applied all of the log.
    pub(super) async fn applied(&self, names: &[&str]) -> Result<()> {
        self.wait_for("the log to be applied", |status| {
            let is_level = |it: &&Value| it["log_end"] != 0 && it["lag_records"] == 0;
            let level = |name: &str| {
                let own = items(status, "items").filter(|it| it["projection"] == name);
                u32::try_from(own.filter(is_level).count()).unwrap_or(u32::MAX)
            };
            names.iter().all(|name| level(name) >= SHARDS)
        })
        .await
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
}

fn items<'s>(status: &'s Value, list: &str) -> impl Iterator<Item = &'s Value> {
    status[list].as_array().into_iter().flatten()
}
