//! A database with the projector's tables, nothing in them, and a query API over it.

use std::{sync::Arc, time::Duration};

use domain::{
    Event,
    api_key::{self, Role},
    cart::Checkout,
    id::{Sku, StreamId},
    shard::ShardId,
    stock::Stock,
    testing,
    timestamp::Timestamp,
};
use infra::{
    auth::{ApiKey, KeyHash},
    config,
    log::{Nonce, memory::MemoryLog},
    position::Position,
    postgres::Pool,
    shutdown::Shutdown,
    task,
    task::Task,
};
use read_models::{Cell, Fold, Projection, Sums, Table, api_keys::API_KEYS, stock::STOCK};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use stack::{eventually::eventually, services::readiness, state::Databases};
use tests::harness::{
    client::{Answer, Client, send},
    servers,
};
use uuid::Uuid;

pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);
pub(crate) const CART_TOKEN_SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The id of the log that the positions of the tests speak of.
pub(crate) const LOG: u64 = 0xfeed;

const OPERATOR_KEY: &str = "the operator's first key";
const POOL_CONNECTIONS: u32 = 4;
pub(crate) const SHARDS: u32 = 2;

pub(crate) struct Rig {
    pool: Pool,
    pub(crate) url: String,
    /// As the query API itself.
    reader: Pool,
    database: String,
    shutdown: Shutdown,
    task: Task<Result<(), task::GroupFailed>>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let database = format!("query_{}", Uuid::now_v7().simple());
        let servers = servers::shared().await.expect("servers");
        let urls = servers.create_database(&database).await.expect("a database");
        let pool_of = |url| infra::postgres::pool(&postgres(url), "test").expect("a pool");
        let (pool, reader) = (pool_of(&urls.projector), pool_of(&urls.query));
        make_tables(&urls, &pool).await;
        let (url, shutdown, task) = serve(&urls.query);
        eventually("the query API is ready", WAIT_MAX, || readiness(&url)).await;
        Self { pool, url, reader, database, shutdown, task }
    }

    pub(crate) fn anon(&self) -> Client {
        Client::new("", &self.url, None)
    }

    /// Has all roles.
    pub(crate) fn operator(&self) -> Client {
        self.with_key(OPERATOR_KEY)
    }

    pub(crate) fn with_key(&self, key: &str) -> Client {
        Client::new("", &self.url, Some(key.to_owned()))
    }

    /// Runs statements as the projector.
    pub(crate) async fn sql(&self, statements: impl Into<String>) {
        let statements = AssertSqlSafe(statements.into());
        sqlx::raw_sql(statements).execute(&self.pool).await.expect("statements that work");
    }

    /// Stores the row that a projection makes of a stream's events, each with when it was recorded.
    pub(crate) async fn project(
        &self,
        projection: &Projection,
        stream: &StreamId,
        events: impl IntoIterator<Item = (Timestamp, Event)>,
    ) {
        let events = events.into_iter().collect();
        self.project_all(projection, 0, [(stream.clone(), events)]).await;
    }

    /// Stores what a projection makes of streams of one shard, and what they add up to.
    pub(crate) async fn project_all(
        &self,
        projection: &Projection,
        shard: i32,
        streams: impl IntoIterator<Item = (StreamId, Vec<(Timestamp, Event)>)>,
    ) {
        let (schema, mut sums, mut statements) = (projection.name, Sums::default(), String::new());
        for (stream, events) in streams {
            let is_of = |fold: &&Fold| Some(fold.stream) == stream.stream_type();
            let fold = projection.folds.iter().find(is_of).expect("a fold of such streams");
            let mut slot = fold.slot(stream.key()).expect("a key that can be stored");
            for (revision, (at, event)) in (1..).zip(events) {
                let folded = slot.evolve(&event, revision, at.to_datetime(), &mut sums);
                folded.expect("an event that applies");
            }
            let table = fold.table().expect("rows of streams");
            statements += &stored(schema, &table, &slot.cells().expect("a row"));
        }
        for table in projection.folds.iter().flat_map(|fold| fold.sums).map(|table| table()) {
            for row in sums.rows(&table, shard) {
                statements += &stored(schema, &table, &row);
            }
        }
        self.sql(statements).await;
    }

    /// What is on hand of a SKU and held for orders.
    pub(crate) async fn stock(&self, sku: &str, on_hand: u32, reserved: u32) {
        let at = instant("2026-01-01T00:00:00Z");
        let received = ("received", json!({"quantity": on_hand}));
        let reserved = json!({
            "reservation_id": Uuid::nil(), "order_id": Uuid::nil(), "quantity": reserved,
            "expires_at": at,
        });
        let reserved = (reserved["quantity"] != 0).then_some(("reserved", reserved));
        let events = [received].into_iter().chain(reserved);
        let events = events.map(|(kind, data)| testing::event::<Stock>(kind, data));
        let stream = sku.parse::<Sku>().expect("a SKU").stock_stream();
        self.project(&STOCK, &stream, events.map(|event| (at, Event::Stock(event)))).await;
    }

    /// A key that was issued, and what became of it.
    pub(crate) async fn key(
        &self,
        key: &ApiKey,
        role: Role,
        expires_at: Option<Timestamp>,
        revoked: bool,
    ) {
        let (name, roles, hash) = ("test".to_owned(), [role].into(), key.hash.to_string());
        let issued = api_key::Event::Issued { name, roles, hash, expires_at };
        let revoked = revoked.then_some(api_key::Event::Revoked {});
        let at = instant("2026-01-01T00:00:00Z");
        let events = [issued].into_iter().chain(revoked).map(|event| (at, Event::ApiKey(event)));
        self.project(&API_KEYS, &key.id.stream(), events).await;
    }

    /// Applies a batch of a projection up to an offset, as the projector does.
    pub(crate) async fn apply(&self, projection: &str, shard: u32, offset: i64) {
        self.apply_of(LOG, projection, shard, offset).await;
    }

    pub(crate) async fn apply_of(&self, log: u64, projection: &str, shard: u32, offset: i64) {
        self.sql(format!(
            "WITH moved AS (
                INSERT INTO projection.checkpoints
                    (projection, version, shard, log_id, next_offset, epoch, last_seq, log_end)
                VALUES ('{projection}', 1, {shard}, '{log:016x}', {offset}, 0, 1, {offset} + 2)
                ON CONFLICT (projection, version, shard) DO UPDATE SET
                    log_id = excluded.log_id, next_offset = excluded.next_offset,
                    log_end = excluded.log_end
                RETURNING projection, version, shard, log_id, next_offset)
             SELECT pg_notify('tradewind_positions', row_to_json(moved)::text) FROM moved"
        ))
        .await;
    }

    /// The projector looks at the log's end, and all is applied. It has not looked again since.
    pub(crate) async fn level(&self) {
        self.level_at("now()").await;
    }

    /// The projector looks again and again, and the query API has heard of it.
    pub(crate) async fn stay_level(&self) {
        self.level_at("now() + interval '1 day'").await;
        let made_up = format!("tw_{:032x}_{:0>43}", 7, 1);
        eventually("it to be known who is nobody", WAIT_MAX, || async {
            let answer = self.with_key(&made_up).get("/v1/stock/A").await;
            if answer.status == 401 { Ok(()) } else { Err(answer.body) }
        })
        .await;
    }

    async fn level_at(&self, at: &str) {
        self.sql(format!(
            "INSERT INTO projection.checkpoints
                (projection, version, shard, next_offset, epoch, last_seq)
             SELECT 'api_keys', 1, shard, 0, 0, 0 FROM generate_series(0, {SHARDS} - 1) AS shard
             ON CONFLICT DO NOTHING;
             INSERT INTO projection.log_ends
             SELECT shard, {SHARDS}, '{{0}}', ARRAY[{at}]
             FROM generate_series(0, {SHARDS} - 1) AS shard
             ON CONFLICT (shard) DO UPDATE SET ends = excluded.ends, seen_at = excluded.seen_at"
        ))
        .await;
    }

    /// Breaks every connection of the query API.
    pub(crate) async fn disconnect(&self) {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = current_user
               AND pid <> pg_backend_pid()",
        )
        .execute(&self.reader)
        .await
        .expect("a role may end its own connections");
    }

    /// Takes the database away, whoever is connected to it.
    pub(crate) async fn remove_database(&self) {
        let servers = servers::shared().await.expect("servers");
        servers.remove_database(&self.database).await.expect("a database to remove");
    }

    /// Ends the service, which must not have failed, and removes the database.
    pub(crate) async fn end(self) {
        self.remove_database().await;
        self.shutdown.request();
        self.task.await.expect("no panic").expect("an orderly end");
    }
}

/// Statements that put a row in the place of the one that is there; none if it has gone.
fn stored(schema: &str, table: &Table, row: &[Cell<'_>]) -> String {
    if row.is_empty() {
        return String::new();
    }
    let columns: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let cells: Vec<_> = row.iter().map(literal).collect();
    let (keys, key) = (columns[..table.keys].join(", "), cells[..table.keys].join(", "));
    let (table, columns, cells) = (table.name, columns.join(", "), cells.join(", "));
    format!(
        "DELETE FROM {schema}_v1.{table} WHERE ({keys}) = ({key});
         INSERT INTO {schema}_v1.{table} ({columns}) VALUES ({cells});"
    )
}

fn literal(cell: &Cell<'_>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Uuid(value) => quoted(&value.to_string()),
        Cell::Text(value) => quoted(value),
        Cell::Int(value) => value.to_string(),
        Cell::Long(value) => value.to_string(),
        Cell::Whole(value) => value.to_string(),
        Cell::Time(value) => quoted(&value.to_rfc3339()),
        Cell::Date(value) => quoted(&value.to_string()),
        Cell::Json(value) => quoted(value),
    }
}

/// A checkout whose lines have these departments, units and totals.
pub(crate) fn checkout(
    placed_at: &str,
    channel: &str,
    currency: &str,
    lines: &[(&str, u32, i64)],
) -> Checkout {
    let money = |amount: i64| json!({"amount": amount, "currency": currency});
    let total = money(lines.iter().map(|(.., total)| total).sum());
    let lines = lines.iter().map(|&(department, quantity, total)| {
        json!({
            "sku": "A", "product_id": Uuid::from_u128(7), "name": "Tea", "department": department,
            "quantity": quantity, "unit_price": money(total / i64::from(quantity)),
            "total": money(total),
        })
    });
    let checkout = json!({
        "lines": lines.collect::<Vec<_>>(), "channel": channel, "placed_at": placed_at,
        "totals": {"subtotal": total, "discount": money(0), "total": total},
        "method_token": "cash",
    });
    serde_json::from_value(checkout).expect("a checkout")
}

/// A place in the log of the tests, as clients send it.
pub(crate) fn at(shard: u32, offset: i64) -> String {
    Position::of(ShardId::new(shard), Nonce(LOG), offset).to_string()
}

pub(crate) fn usd(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

/// An instant of the tests, which is one.
pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// A read with headers.
pub(crate) async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client.query(path);
    let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
    send(request).await
}

/// A member of each item of a list.
pub(crate) fn each(answer: &Answer, pointer: &str) -> Vec<Value> {
    let items = answer.body["items"].as_array().expect("items");
    items.iter().map(|item| item.pointer(pointer).cloned().unwrap_or_default()).collect()
}

pub(crate) fn serve(url: &str) -> (String, Shutdown, Task<Result<(), task::GroupFailed>>) {
    let settings = query_api::Settings {
        http: config::Http::local(),
        postgres: postgres(url),
        auth: config::Auth {
            operator_key_sha256: Some(KeyHash::of(OPERATOR_KEY)),
            cart_token_secret: CART_TOKEN_SECRET.into(),
        },
        replay: None,
        log: log(),
    };
    let service = query_api::Service::bind(settings).expect("a free port");
    let url = format!("http://{}", service.local_addr());
    let shutdown = Shutdown::new();
    let task = task::spawn("query-api", service.run(shutdown.clone()));
    (url, shutdown, task)
}

/// A projector that has nothing to project makes its tables and views.
async fn make_tables(urls: &Databases, pool: &Pool) {
    let settings = projector::Settings {
        http: config::Http::local(),
        kafka: config::Kafka::plaintext("127.0.0.1:1", "unused"),
        postgres: postgres(&urls.projector),
        operator_key: None,
        projector: config::Projector {
            rebuild: config::Rebuild::Manual,
            parked_events_max: 1_000,
            dead_letters_kept_days: 730,
            gather: Duration::from_millis(2),
            journal: true,
        },
        pseudonym_key: Some("0123456789abcdef0123456789abcdef".into()),
        log: log(),
    };
    let source = projector::Source::Given(Arc::new(MemoryLog::new(SHARDS)));
    let service = projector::Service::bind(settings, source).expect("a free port");
    let shutdown = Shutdown::new();
    let task = task::spawn("projector", service.run(shutdown.clone()));
    let made: Vec<_> = read_models::ALL.iter().flat_map(|it| it.views).map(|it| it.0).collect();
    let missing =
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass('read.' || name) IS NULL";
    eventually("the views are made", WAIT_MAX, || async {
        match sqlx::query_scalar::<_, String>(missing).bind(&made).fetch_all(pool).await {
            Ok(missing) if missing.is_empty() => Ok(()),
            other => Err(other),
        }
    })
    .await;
    shutdown.request();
    task.await.expect("no panic").expect("an orderly end");
}

fn postgres(url: &str) -> config::Postgres {
    config::Postgres { url: url.to_owned().into(), connections_max: POOL_CONNECTIONS }
}

fn log() -> config::Log {
    config::Log { format: config::LogFormat::Pretty, filter: "info".to_owned() }
}
