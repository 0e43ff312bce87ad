//! Makes the schema of a new version: the first of a projection, or one to be built beside others.

use infra::http::values::Whole;
use read_models::Projection;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Executor, PgConnection, types::Json};
use utoipa::ToSchema;

use super::Refused;
use crate::{
    apply::{MARK, tables},
    store::versions::{
        COLUMNS, RELEASE, Version, VersionState, in_schema, locked, schema_of, views,
    },
};

pub(crate) type Positive = Whole<i32, 1, 2_147_483_647>;

/// How a new version is to be built.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rebuild)]
pub(crate) struct RebuildRequest {
    /// Records of the log per second, of all shards together; as fast as it goes without it.
    #[schema(example = 50_000)]
    pub throttle: Option<Positive>,
    /// Verify it when it has caught up.
    #[serde(default)]
    pub verify: bool,
    /// Then switch to it, unless differences were found.
    #[serde(default)]
    pub switch: bool,
    /// Read events as they stand in the log: edits and skips of dead letters that were made so far are
    /// not those of this version.
    #[serde(default)]
    pub forget_corrections: bool,
}

infra::validates!(RebuildRequest: throttle);

const FIRST: i32 = 1;

/// Begins to build a new version; the rest happens by itself.
///
/// # Errors
/// If one is under way already, or PostgreSQL cannot answer.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    projection: &Projection,
    request: RebuildRequest,
) -> Result<Version, Refused> {
    let name = projection.name;
    let versions = locked(tx, name).await?;
    if versions.is_empty() {
        // The first version is live from the start, and made when a projector starts.
        return Err(Refused::NotYet(format!("the first version of {name} is still to be made")));
    }
    if let Some(Version { version, state, .. }) =
        versions.iter().find(|version| version.state.is_building())
    {
        return Err(Refused::Conflict(format!(
            "{name} v{version} is {}; drop it, or wait for it, before another is built",
            state.as_str()
        )));
    }
    // Those that were dropped count, too: a number never means two things.
    let number = versions.last().map_or(FIRST, |last| last.version.saturating_add(1));
    let schema = make_tables(tx, projection, number).await?;
    let indexes = without_indexes(tx, &schema).await?;
    not_logged(tx, &schema).await?;
    insert(tx, projection, number, VersionState::Copying, &indexes, request)
        .await
        .map_err(Refused::from)
}

/// Makes the first version, which is live from the start.
pub(crate) async fn begin_live(
    tx: &mut PgConnection,
    projection: &Projection,
) -> Result<Version, sqlx::Error> {
    make_tables(tx, projection, FIRST).await?;
    insert(tx, projection, FIRST, VersionState::Live, &[], RebuildRequest::default()).await
}

async fn make_tables(
    tx: &mut PgConnection,
    projection: &Projection,
    version: i32,
) -> Result<String, sqlx::Error> {
    let schema = schema_of(projection.name, version);
    tx.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
    sqlx::raw_sql(in_schema(projection.tables, &schema)).execute(&mut *tx).await?;
    Ok(schema)
}

/// Takes the indexes away that no constraint needs; tells how to make them again.
async fn without_indexes(tx: &mut PgConnection, schema: &str) -> Result<Vec<String>, sqlx::Error> {
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT format('%I.%I', schemaname, indexname), indexdef FROM pg_indexes
         WHERE schemaname = $1 AND NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conindid = format('%I.%I', schemaname, indexname)::regclass)
         ORDER BY indexname",
    )
    .bind(schema)
    .fetch_all(&mut *tx)
    .await?;
    for (name, _) in &indexes {
        tx.execute(AssertSqlSafe(format!("DROP INDEX {name}"))).await?;
    }
    Ok(indexes.into_iter().map(|(_, statement)| statement).collect())
}

async fn not_logged(tx: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    for table in tables(tx, schema).await? {
        tx.execute(AssertSqlSafe(format!("ALTER TABLE {table} SET UNLOGGED"))).await?;
    }
    let mark = format!(
        "CREATE UNLOGGED TABLE {schema}.{MARK} (since timestamptz NOT NULL);
         INSERT INTO {schema}.{MARK} VALUES (now())"
    );
    sqlx::raw_sql(AssertSqlSafe(mark)).execute(tx).await?;
    Ok(())
}

async fn insert(
    tx: &mut PgConnection,
    projection: &Projection,
    version: i32,
    state: VersionState,
    indexes: &[String],
    request: RebuildRequest,
) -> Result<Version, sqlx::Error> {
    let sql = format!(
        "INSERT INTO projection.versions (projection, version, fold, state, throttle, verify, switch,
            views, indexes, views_release, corrections_since)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, CASE WHEN $11 THEN now() ELSE (
                SELECT corrections_since FROM projection.versions
                WHERE projection = $1 AND state = 'live') END)
         RETURNING {COLUMNS}"
    );
    sqlx::query_as(AssertSqlSafe(sql))
        .bind(projection.name)
        .bind(version)
        .bind(projection.version)
        .bind(state.as_str())
        .bind(request.throttle.map(Whole::get))
        .bind(request.verify)
        .bind(request.switch)
        .bind(views(projection, version))
        .bind(Json(indexes))
        .bind(&RELEASE[..])
        .bind(request.forget_corrections)
        .fetch_one(tx)
        .await
}
