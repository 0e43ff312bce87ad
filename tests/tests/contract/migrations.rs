//! Migrations run while the release before serves.

use std::{fmt::Write, path::Path};

use expect_test::expect_file;
use infra::{config, postgres};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, migrate::Migrator};
use stack::eventually::eventually;
use tests::harness::servers;
use uuid::Uuid;

/// What the release before may still use, so a migration that takes it away needs this comment: since
/// which release nothing does.
const CONTRACTS: &str = "-- contracts since ";
/// Statements that take something away from those who use it, or hold them up while a table is read
/// or written anew.
const TAKING: [&str; 9] = [
    "DROP TABLE",
    "DROP COLUMN",
    "DROP SCHEMA",
    "DROP VIEW",
    "RENAME",
    " TYPE ",
    "SET NOT NULL",
    "VALIDATE",
    "TRUNCATE",
];

fn migrations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/migrations");
    let entries = std::fs::read_dir(folder).expect("the folder of migrations");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn migrations_only_add_unless_they_say_since_when_nobody_needs_it() {
    for (name, sql) in migrations() {
        let code = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
        let code = code.collect::<Vec<_>>().join("\n").to_uppercase();
        let taking: Vec<_> = TAKING.iter().filter(|it| code.contains(**it)).collect();
        assert!(
            taking.is_empty() || sql.contains(CONTRACTS),
            "{name} has {taking:?}: the release before may need it; say `{CONTRACTS}<release>`"
        );
    }
}

/// A migration that has run somewhere is never edited: servers would refuse to start.
#[test]
fn migrations_that_have_landed_stay_as_they_are() {
    let mut list = String::new();
    for (name, sql) in migrations() {
        let digest = Sha256::digest(sql.as_bytes());
        writeln!(list, "{digest:x}  {name}").expect("a text");
    }
    expect_file!["../../../infra/migrations.sha256"].assert_eq(&list);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_lock_holds_up_nobody() {
    let servers = servers::shared().await.expect("servers");
    let name = format!("migrations_{}", Uuid::now_v7().simple());
    let url = servers.create_database(&name).await.expect("a database").migrator;
    let mut reporter = PgConnection::connect(&url).await.expect("a connection");
    let sql = "BEGIN; LOCK TABLE projection.dead_letters IN ROW EXCLUSIVE MODE";
    let begun = sqlx::raw_sql(sql).execute(&mut reporter).await;
    begun.expect("a transaction that takes its time");
    let next = next_release().await;
    let settings = config::Postgres { url: url.clone().into(), connections_max: 2 };
    let pool = postgres::pool(&settings, "test").expect("a pool");
    let others = async {
        others_go_on(&url).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut reporter).await.expect("its end");
    };
    let (migrated, ()) = tokio::join!(postgres::migrate_by(&pool, &next), others);
    migrated.expect("a migration");
    pool.close().await;
    servers.remove_database(&name).await.expect("a database to remove");
}

/// The migrations of a release with one more than this one.
async fn next_release() -> Migrator {
    let folder = tempfile::tempdir().expect("a folder");
    let next = "CREATE INDEX next ON projection.dead_letters (settled_at)".to_owned();
    for (name, sql) in migrations().into_iter().chain([("9999_next.sql".to_owned(), next)]) {
        std::fs::write(folder.path().join(name), sql).expect("a file");
    }
    Migrator::new(folder.path()).await.expect("migrations")
}

/// Waits until the migration waits, and wants the same table.
async fn others_go_on(url: &str) {
    let mut writer = PgConnection::connect(url).await.expect("a connection");
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted
        AND relation = 'projection.dead_letters'::regclass";
    eventually("the migration to wait", super::PATIENCE, || async {
        let mut looking = PgConnection::connect(url).await.map_err(|error| error.to_string())?;
        let waiting: i64 = sqlx::query_scalar(waits)
            .fetch_one(&mut looking)
            .await
            .map_err(|error| error.to_string())?;
        if waiting == 1 { Ok(()) } else { Err(waiting.to_string()) }
    })
    .await;
    sqlx::raw_sql(
        "SET lock_timeout = '20s'; BEGIN; LOCK TABLE projection.dead_letters IN ROW EXCLUSIVE MODE;
         ROLLBACK",
    )
    .execute(&mut writer)
    .await
    .expect("others to go on");
}
