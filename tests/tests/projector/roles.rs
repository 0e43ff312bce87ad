//! Each role may do what its service needs, and is refused everything else.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tests::harness::servers;
use uuid::Uuid;

/// What PostgreSQL says to a statement: nothing, or the code of its refusal.
async fn refusal(url: &str, sql: &str) -> Option<String> {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    let answer = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await;
    let code = answer.err().map(|error| {
        let code = error.as_database_error().and_then(|error| error.code()).expect("a refusal");
        code.into_owned()
    });
    connection.close().await.ok();
    code
}

const DENIED: Option<&str> = Some("42501");

#[tokio::test(flavor = "multi_thread")]
async fn no_role_may_do_what_its_service_does_not_need() {
    let database = format!("roles_{}", Uuid::now_v7().simple());
    let servers = servers::shared().await.expect("servers");
    let urls = servers.create_database(&database).await.expect("a database");
    let migrated = "CREATE TABLE vault.keys (subject uuid PRIMARY KEY, key bytea NOT NULL)";
    assert_eq!(refusal(&urls.migrator, migrated).await, None);
    let (projector, query, analyst) = (&urls.projector, &urls.query, &urls.analyst);
    for (url, sql, refused) in [
        (query, "SELECT FROM read.positions", None),
        (query, "SELECT FROM read.parked_streams", None),
        (query, "SELECT FROM projection.checkpoints", DENIED),
        (query, "SELECT FROM projection.dead_letters", DENIED),
        (query, "SELECT FROM vault.keys", DENIED),
        (query, "CREATE TABLE read.mine (id int)", DENIED),
        (query, "CREATE SCHEMA mine", DENIED),
        (query, "CREATE TABLE public.mine (id int)", DENIED),
        (query, "SET ROLE tradewind_projector", DENIED),
        (projector, "SELECT FROM projection.checkpoints", None),
        (projector, "CREATE SCHEMA stock_v9", None),
        (projector, "SELECT FROM vault.keys", DENIED),
        (projector, "DROP TABLE projection.checkpoints", DENIED),
        (projector, "UPDATE projection.dead_letter_audit SET actor = 'nobody'", DENIED),
        (projector, "DELETE FROM projection.dead_letter_audit", DENIED),
        (projector, "SELECT projection.forget_dead_letters(30)", None),
        (projector, "SELECT projection.forget_dead_letters(29)", Some("22023")),
        (query, "SELECT projection.forget_dead_letters(30)", DENIED),
        (projector, "SET ROLE tradewind_migrator", DENIED),
        (query, "SELECT FROM projection.pseudonym_key", DENIED),
        (analyst, "SELECT FROM projection.pseudonym_key", DENIED),
        (analyst, "SELECT FROM read.positions", DENIED),
        (analyst, "SELECT FROM vault.keys", DENIED),
        (analyst, "SET ROLE tradewind_projector", DENIED),
        (analyst, "CREATE TABLE analytics.mine (id int)", Some("25006")),
        (analyst, "BEGIN READ WRITE; CREATE TABLE analytics.mine (id int)", DENIED),
        (analyst, "BEGIN READ WRITE; CREATE TABLE public.mine (id int)", DENIED),
    ] {
        assert_eq!(refusal(url, sql).await.as_deref(), refused, "{sql}");
    }
    // The service that would be the vault is still to come; its role is there.
    for (object, privilege, granted) in [
        ("schema_privilege('vault'", "USAGE", true),
        ("table_privilege('vault.keys'", "INSERT", true),
        ("table_privilege('vault.keys'", "DELETE", true),
        ("schema_privilege('vault'", "CREATE", false),
        ("schema_privilege('read'", "USAGE", false),
        ("schema_privilege('projection'", "USAGE", false),
    ] {
        let (object, name) = object.split_once('(').expect("a function and its object");
        let sql = format!("SELECT has_{object}('tradewind_vault', {name}, '{privilege}')");
        let mut connection = PgConnection::connect(&urls.migrator).await.expect("a connection");
        let found: bool =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect("it");
        assert_eq!(found, granted, "{privilege} on {name}");
    }
    servers.remove_database(&database).await.expect("a database to remove");
}
