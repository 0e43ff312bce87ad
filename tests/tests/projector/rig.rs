//! A database of one's own, a log, and projectors over both.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::{
    config,
    log::{EventLog, memory::MemoryLog},
    postgres::Pool,
    shutdown::Shutdown,
    task::{self, GroupFailed, Task},
};
use projector::{Service, Settings, Shards, Source};
use read_models::Projection;
use serde_json::Value;
use sqlx::{Postgres, Transaction};
use stack::{eventually::eventually, plain_http};
use tests::harness::{client::send, servers};
use uuid::Uuid;

use crate::history::Owner;

pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// Events of one projection that may be parked in a shard.
pub(crate) const PARKED_EVENTS_MAX: usize = 20;

pub(crate) const DEAD_LETTERS_KEPT_DAYS: i32 = 30;

pub(crate) const PSEUDONYM_KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Rig {
    pub log: MemoryLog,
    pub url: String,
    /// As analysts reach it.
    pub analyst_url: String,
    /// For the test's own questions.
    pub pool: Pool,
    database: String,
}

pub(crate) struct Projector {
    pub url: String,
    shutdown: Shutdown,
    task: Task<Result<(), GroupFailed>>,
}

impl Rig {
    pub(crate) async fn start(shards: u32) -> Self {
        let database = format!("projector_{}", Uuid::now_v7().simple());
        let servers = servers::shared().await.expect("servers");
        let urls = servers.create_database(&database).await.expect("a database");
        let (url, analyst_url) = (urls.projector, urls.analyst);
        let settings = config::Postgres { url: url.clone().into(), connections_max: 4 };
        let pool = infra::postgres::pool(&settings, "test").expect("a pool");
        Self { log: MemoryLog::new(shards), url, analyst_url, pool, database }
    }

    pub(crate) fn projector(&self) -> Projector {
        Projector::start(&self.url, &self.log)
    }

    /// Waits until every projection has applied everything.
    pub(crate) async fn applied(&self) {
        for shard in 0..self.log.shard_count() {
            self.applied_to(shard, self.log_end(shard).await).await;
        }
    }

    pub(crate) async fn applied_to(&self, shard: u32, end: i64) {
        let shard = i32::try_from(shard).expect("a small number");
        eventually("all projections to be applied", WAIT_MAX, || async {
            let positions: Vec<(String, i64)> = sqlx::query_as(
                "SELECT projection, next_offset FROM read.positions WHERE shard = $1",
            )
            .bind(shard)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| error.to_string())?;
            let applied = positions.iter().filter(|(_, next_offset)| *next_offset >= end).count();
            if applied == read_models::ALL.len() {
                Ok(())
            } else {
                Err(format!("{end}: {positions:?}"))
            }
        })
        .await;
    }

    pub(crate) async fn log_end(&self, shard: u32) -> i64 {
        self.log.range(ShardId::new(shard)).await.expect("a shard").end
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("a number")
    }

    /// With the owner of the only shard.
    pub(crate) async fn with_owner() -> (Self, Owner) {
        let rig = Self::start(1).await;
        let owner = Owner::claim(&rig.log, 0).await;
        (rig, owner)
    }

    /// Runs statements by hand.
    pub(crate) async fn sql(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&self.pool).await.expect("statements that work");
    }

    /// Waits until a query finds this number.
    pub(crate) async fn becomes(&self, what: &str, sql: &'static str, expected: i64) {
        self.finds(what, sql, |found| found == expected).await;
    }

    /// Waits until a query finds such a number.
    pub(crate) async fn finds(&self, what: &str, sql: &'static str, is_it: impl Fn(i64) -> bool) {
        eventually(what, WAIT_MAX, || async {
            let found = self.number(sql).await;
            if is_it(found) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// A transaction that holds what this statement locks.
    pub(crate) async fn hold(&self, sql: &'static str) -> Transaction<'static, Postgres> {
        let mut held = self.pool.begin().await.expect("a transaction");
        sqlx::query(sql).execute(&mut *held).await.expect("a lock");
        held
    }

    /// Ends all sessions of projectors, as a server that is restarted does.
    pub(crate) async fn cut_connections(&self) {
        self.number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'tradewind-projector%'",
        )
        .await;
    }

    pub(crate) async fn end(self) {
        self.pool.close().await;
        let servers = servers::shared().await.expect("servers");
        servers.remove_database(&self.database).await.expect("a database to remove");
    }
}

impl Projector {
    /// One that serves all shards whatever others do.
    pub(crate) fn start_alone(url: &str, log: &MemoryLog) -> Self {
        Self::start_at(url, log, config::Http::local(), Shards::All).expect("a free port")
    }

    pub(crate) fn start(url: &str, log: &MemoryLog) -> Self {
        Self::start_at(url, log, config::Http::local(), Shards::Shared).expect("a free port")
    }

    /// One of a release that has these projections.
    pub(crate) fn start_release(rig: &Rig, projections: Vec<Projection>) -> Self {
        let settings = settings(&rig.url, config::Http::local());
        let source = Source::Given(Arc::new(rig.log.clone()));
        Self::run(Service::bind_release(settings, source, projections).expect("a free port"))
    }

    /// One whose operator wants no journal.
    pub(crate) fn without_journal(rig: &Rig) -> Self {
        let mut settings = settings(&rig.url, config::Http::local());
        settings.projector.journal = false;
        let source = Source::Given(Arc::new(rig.log.clone()));
        Self::run(Service::bind(settings, source).expect("a free port"))
    }

    /// Another one at the same address, once this one has been killed.
    pub(crate) async fn restart(self, rig: &Rig) -> Self {
        let bind = self.url.trim_start_matches("http://").parse().expect("an address");
        self.kill();
        eventually("the address to be free", WAIT_MAX, || async {
            let http = config::Http { bind, ..config::Http::local() };
            Self::start_at(&rig.url, &rig.log, http, Shards::Shared)
                .map_err(|error| error.to_string())
        })
        .await
    }

    fn start_at(
        url: &str,
        log: &MemoryLog,
        http: config::Http,
        shards: Shards,
    ) -> anyhow::Result<Self> {
        let source = Source::Given(Arc::new(log.clone()));
        Ok(Self::run(Service::bind(settings(url, http), source)?.serving(shards)))
    }

    fn run(service: Service) -> Self {
        let url = format!("http://{}", service.local_addr());
        let shutdown = Shutdown::new();
        let task = task::spawn("projector", service.run(shutdown.clone()));
        Self { url, shutdown, task }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.task.await.expect("no panic").expect("an orderly end");
    }

    /// The last one of a test.
    pub(crate) async fn end(self, rig: Rig) {
        self.stop().await;
        rig.end().await;
    }

    /// As `kill -9` would end it.
    pub(crate) fn kill(self) {
        drop(self.task);
    }

    /// Asks as an operator.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let request = plain_http::client().get(self.admin(path));
        let answer = send(request.bearer_auth(OPERATOR_KEY)).await;
        (answer.status, answer.body)
    }

    /// Orders as an operator.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = plain_http::client().post(self.admin(path)).json(body);
        let answer = send(request.bearer_auth(OPERATOR_KEY)).await;
        (answer.status, answer.body)
    }

    /// The URL of something of `/v1/admin`.
    pub(crate) fn admin(&self, path: &str) -> String {
        format!("{}/v1/admin/{path}", self.url)
    }

    /// Does something with a projection, once the projector has made its tables.
    pub(crate) async fn act(&self, name: &str, action: &str, body: Value) -> Value {
        eventually(&format!("{action} {name}"), WAIT_MAX, || async {
            let path = format!("projections/{name}/{action}");
            match self.post(&path, &body).await {
                (200 | 202, answer) => Ok(answer),
                other => Err(other),
            }
        })
        .await
    }

    pub(crate) async fn version(&self, name: &str, number: i64) -> Value {
        let (_, status) = self.get("status").await;
        let versions = status["versions"].as_array().cloned().unwrap_or_default();
        let is_it = |it: &&Value| it["projection"] == name && it["version"] == number;
        versions.iter().find(is_it).cloned().unwrap_or_default()
    }

    /// Waits until a version has a state, and nothing more is to be done with it.
    pub(crate) async fn settled(&self, name: &str, number: i64, state: &str) -> Value {
        eventually(&format!("{name} v{number} {state}"), WAIT_MAX, || async {
            let version = self.version(name, number).await;
            let is_busy = version["verify"] == true || version["switch"] == true;
            if version["state"] == state && !is_busy { Ok(version) } else { Err(version) }
        })
        .await
    }

    /// Verifies a projection and tells the outcome.
    pub(crate) async fn verify(&self, name: &str, body: Value) -> Value {
        let ordered = self.act(name, "verify", body).await;
        let path = format!("verifications/{}", ordered["id"].as_str().expect("an id"));
        eventually("a verification to end", WAIT_MAX, || async {
            let (_, found) = self.get(&path).await;
            let is_over = found["finished_at"].is_string();
            if is_over { Ok(found) } else { Err(found) }
        })
        .await
    }

    /// A projection, or the version that is named, is what the log makes of it.
    pub(crate) async fn proves(&self, name: &str, body: Value) {
        let verified = self.verify(name, body).await;
        assert_eq!(verified["state"], "equal", "{verified}");
    }

    /// Waits until something is the matter with a version.
    pub(crate) async fn problem(&self, name: &str, number: i64) -> String {
        eventually("a problem", WAIT_MAX, || async {
            let version = self.version(name, number).await;
            version["problem"].as_str().map(str::to_owned).ok_or(version)
        })
        .await
    }

    pub(crate) async fn ready(&self) -> (u16, Value) {
        let answer = send(plain_http::client().get(format!("{}/readyz", self.url))).await;
        (answer.status, answer.body)
    }

    /// Waits until it is ready, or tells this reason why it is not.
    pub(crate) async fn reports(&self, status: u16, reason: &str) {
        eventually(&format!("{status} {reason}"), WAIT_MAX, || async {
            let (told, report) = self.ready().await;
            let is_told = report["reasons"].to_string().contains(reason);
            if told == status && is_told { Ok(()) } else { Err(report) }
        })
        .await;
    }
}

pub(crate) const OPERATOR_KEY: &str = "tw_operator_of_the_tests";

fn settings(url: &str, http: config::Http) -> Settings {
    Settings {
        http,
        kafka: config::Kafka::plaintext("127.0.0.1:1", "unused"),
        postgres: config::Postgres { url: url.to_owned().into(), connections_max: 8 },
        operator_key: Some(infra::auth::KeyHash::of(OPERATOR_KEY)),
        projector: config::Projector {
            rebuild: config::Rebuild::Auto,
            parked_events_max: PARKED_EVENTS_MAX,
            dead_letters_kept_days: DEAD_LETTERS_KEPT_DAYS,
            gather: Duration::from_millis(2),
            journal: true,
        },
        pseudonym_key: Some(PSEUDONYM_KEY.into()),
        log: config::Log { format: config::LogFormat::Pretty, filter: "info".to_owned() },
    }
}
