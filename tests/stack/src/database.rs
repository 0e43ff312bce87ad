//! Roles, databases and migrations on a PostgreSQL of our own; on an existing one, migrations alone.

use anyhow::{Context, Result};
use infra::config;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::scram;
use crate::secrets::Secrets;
use crate::state::{DATABASE, OWNER, READER, StackState};

/// Brings the stack's database to the schema of this build.
///
/// # Errors
/// When the server refuses.
pub async fn prepare(state: &StackState, secrets: &Secrets) -> Result<()> {
    if state.existing.postgres.is_none() {
        let admin = state.admin_url(secrets);
        create_roles(&admin, secrets).await.context("making PostgreSQL's roles")?;
        create(&admin, DATABASE, Template::Empty, Some(OWNER)).await?;
    }
    migrate(&state.databases(secrets).migrator).await
}

/// Makes the roles that can log in, with the passwords of `secrets`.
///
/// # Errors
/// When the server refuses.
pub async fn create_roles(admin_url: &str, secrets: &Secrets) -> Result<()> {
    let roles = [
        // The migrations make the roles that are not there yet.
        (OWNER, "CREATEROLE", &secrets.postgres_migrator),
        ("tradewind_projector", "", &secrets.postgres_projector),
        ("tradewind_query", "", &secrets.postgres_query),
        ("tradewind_analyst", "", &secrets.postgres_analyst),
        (READER, "", &secrets.postgres_reader),
    ];
    let mut admin = connect(admin_url).await?;
    for (name, attributes, password) in roles {
        if !exists(&mut admin, "pg_roles", "rolname", name).await? {
            run(&mut admin, format!("CREATE ROLE {name}")).await?;
        }
        let verifier = scram::verifier(password, Uuid::new_v4().as_bytes())?;
        run(&mut admin, format!("ALTER ROLE {name} LOGIN {attributes} PASSWORD '{verifier}'"))
            .await?;
    }
    run(&mut admin, format!("GRANT pg_read_all_data TO {READER}")).await?;
    // What the projector makes belongs to the owner of the read models too.
    run(&mut admin, "GRANT tradewind_projector TO tradewind_migrator".to_owned()).await?;
    admin.close().await.context("closing")
}

/// What a new database begins with.
#[derive(Clone, Copy, Debug)]
pub enum Template<'a> {
    Empty,
    CopyOf(&'a str),
}

/// Makes a database, if it is not there, for `owner` or else for whom the URL names.
///
/// # Errors
/// When the server refuses.
pub async fn create(
    admin_url: &str,
    name: &str,
    template: Template<'_>,
    owner: Option<&str>,
) -> Result<()> {
    let mut admin = connect(admin_url).await?;
    if !exists(&mut admin, "pg_database", "datname", name).await? {
        let source = match template {
            Template::Empty => "template1",
            Template::CopyOf(name) => name,
        };
        let owner = owner.map(|owner| format!("OWNER {owner}")).unwrap_or_default();
        let sql = format!("CREATE DATABASE {name} TEMPLATE {source} {owner}");
        run(&mut admin, sql).await.with_context(|| format!("making the database {name}"))?;
    }
    if matches!(template, Template::CopyOf(_)) {
        // What the migrations grant on the database itself is not copied with it.
        run(&mut admin, format!("GRANT CREATE ON DATABASE {name} TO tradewind_projector")).await?;
    }
    admin.close().await.context("closing")
}

/// Removes a database and everybody's connections to it.
///
/// # Errors
/// When the server refuses.
pub async fn remove(admin_url: &str, name: &str) -> Result<()> {
    let mut admin = connect(admin_url).await?;
    run(&mut admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    admin.close().await.context("closing")
}

/// # Errors
/// When the server refuses.
pub async fn is_there(admin_url: &str, name: &str) -> Result<bool> {
    let mut admin = connect(admin_url).await?;
    let found = exists(&mut admin, "pg_database", "datname", name).await?;
    admin.close().await.context("closing")?;
    Ok(found)
}

/// # Errors
/// When the server refuses.
pub async fn rename(admin_url: &str, name: &str, new: &str) -> Result<()> {
    let mut admin = connect(admin_url).await?;
    run(&mut admin, format!("ALTER DATABASE {name} RENAME TO {new}")).await?;
    admin.close().await.context("closing")
}

/// # Errors
/// When the server refuses or a migration fails.
pub async fn migrate(url: &str) -> Result<()> {
    let settings = config::Postgres { url: url.to_owned().into(), connections_max: 1 };
    let pool = infra::postgres::pool(&settings, "tradewind-stack")?;
    let migrated = infra::postgres::migrate(&pool).await;
    pool.close().await;
    migrated.context("migrating the database")
}

async fn connect(url: &str) -> Result<PgConnection> {
    PgConnection::connect(url).await.context("connecting to PostgreSQL")
}

async fn exists(
    connection: &mut PgConnection,
    table: &str,
    column: &str,
    name: &str,
) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT FROM {table} WHERE {column} = $1)");
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(name);
    query.fetch_one(connection).await.context("reading the catalogue")
}

/// Statements that take no parameters. Names are constants or ours, verifiers of passwords are base64.
async fn run(connection: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
