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
use projector::{Service, Settings, Source};
use serde_json::Value;
use tests::{eventually::eventually, harness::servers};
use uuid::Uuid;

pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

const PROJECTIONS: usize = 6;
/// Events of one projection that may be parked in a shard.
pub(crate) const PARKED_EVENTS_MAX: usize = 20;

pub(crate) struct Rig {
    pub log: MemoryLog,
    pub url: String,
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
        let url = servers.create_database(&database).await.expect("a database").projector;
        let settings = config::Postgres { url: url.clone().into(), connections_max: 4 };
        let pool = infra::postgres::pool(&settings, "test").expect("a pool");
        Self { log: MemoryLog::new(shards), url, pool, database }
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
            if applied == PROJECTIONS { Ok(()) } else { Err(format!("{end}: {positions:?}")) }
        })
        .await;
    }

    pub(crate) async fn log_end(&self, shard: u32) -> i64 {
        self.log.range(ShardId::new(shard)).await.expect("a shard").end
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("a number")
    }

    pub(crate) async fn end(self) {
        self.pool.close().await;
        let servers = servers::shared().await.expect("servers");
        servers.remove_database(&self.database).await.expect("a database to remove");
    }
}

impl Projector {
    pub(crate) fn start(url: &str, log: &MemoryLog) -> Self {
        let settings = Settings {
            http: config::Http::local(),
            kafka: config::Kafka::plaintext("127.0.0.1:1", "unused"),
            postgres: config::Postgres { url: url.to_owned().into(), connections_max: 8 },
            operator_key: Some(infra::auth::KeyHash::of(OPERATOR_KEY)),
            projector: config::Projector {
                rebuild: config::Rebuild::Auto,
                parked_events_max: PARKED_EVENTS_MAX,
            },
            log: config::Log { format: config::LogFormat::Pretty, filter: "info".to_owned() },
        };
        let source = Source::Given(Arc::new(log.clone()));
        let service = Service::bind(settings, source).expect("a free port");
        let url = format!("http://{}", service.local_addr());
        let shutdown = Shutdown::new();
        let task = task::spawn("projector", service.run(shutdown.clone()));
        Self { url, shutdown, task }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.task.await.expect("no panic").expect("an orderly end");
    }

    /// As `kill -9` would end it.
    pub(crate) fn kill(self) {
        drop(self.task);
    }

    /// Asks as an operator.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url));
        send(request).await
    }

    /// Orders as an operator.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}{path}", self.url)).json(body);
        send(request).await
    }

    pub(crate) async fn ready(&self) -> (u16, Value) {
        let answer = reqwest::get(format!("{}/readyz", self.url)).await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }
}

async fn send(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.bearer_auth(OPERATOR_KEY).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

pub(crate) const OPERATOR_KEY: &str = "tw_operator_of_the_tests";
