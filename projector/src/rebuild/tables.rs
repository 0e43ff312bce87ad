//! The tables of a version, from the first one on.
//!
//! Those of a build are not logged and lack the indexes that only readers need, until it is copied. Then
//! they are made durable and get their indexes, a transaction for each step. A row that an index refuses is
//! found only when that is made: the version starts over with its indexes in place and is fed like any other,
//! which finds the event and parks it.

use infra::{
    postgres::{Pool, errors::is_about_data},
    telemetry::{chain, emit},
};
use read_models::Projection;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::{
    Refused, Stepped, advance,
    copy::{start_over, take_back},
};
pub(crate) use crate::store::versions::RebuildRequest;
use crate::{
    apply::{MARK, is_marked, tables},
    store::{
        versions::{Version, VersionState, lock_key, locked},
        views,
    },
};

/// Writing a table to the log or building an index may take this long: hundreds of millions of rows.
const STEP_WAIT_MAX: &str = "6h";

/// Begins to build a new version; the rest happens by itself.
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
    if let Some(Version { version, state, .. }) = versions.iter().find(|it| it.state.is_building())
    {
        return Err(Refused::Conflict(format!(
            "{name} v{version} is {}; drop it, or wait for it, before another is built",
            state.as_str()
        )));
    }
    let version = make(tx, projection, VersionState::Copying, request).await?;
    let schema = version.schema();
    let indexes = without_indexes(tx, &schema).await?;
    version.lacks(tx, &indexes).await?;
    not_logged(tx, &schema).await?;
    Ok(version)
}

/// Makes the first version, which is live from the start.
pub(crate) async fn begin_live(
    tx: &mut PgConnection,
    projection: &Projection,
) -> Result<(), sqlx::Error> {
    let version = make(tx, projection, VersionState::Live, RebuildRequest::default()).await?;
    views::show(tx, &version, None).await
}

async fn make(
    tx: &mut PgConnection,
    projection: &Projection,
    state: VersionState,
    request: RebuildRequest,
) -> Result<Version, sqlx::Error> {
    let version = Version::insert(tx, projection, state, request).await?;
    let schema = version.schema();
    tx.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
    tx.execute(views::in_schema(projection.tables, &schema)).await?;
    views::keep(tx, projection, &version).await?;
    Ok(version)
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
    tx.execute(AssertSqlSafe(mark)).await?;
    Ok(())
}

/// Does one step towards tables that are complete; true if something has changed. The next one is for the
/// next round: somebody may pause or drop the version meanwhile. What was done before an error stays.
pub(crate) async fn finish(pool: &Pool, version: &Version) -> Result<bool, sqlx::Error> {
    let schema = version.schema();
    let mut tx = pool.begin().await?;
    let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(lock_key(&format!("finish {schema}")))
        .fetch_one(&mut *tx)
        .await?;
    if !free {
        // Another projector is at it.
        return Ok(false);
    }
    let patient = format!("SET LOCAL statement_timeout = '{STEP_WAIT_MAX}'");
    tx.execute(AssertSqlSafe(patient)).await?;
    if has_mark(&mut tx, &schema).await? {
        if !is_marked(&mut tx, &schema).await? {
            tx.rollback().await?;
            start_over(pool, &version.projection, version.version).await?;
            return Ok(true);
        }
        make_durable(&mut tx, &schema).await?;
        tx.commit().await?;
        return Ok(true);
    }
    let Some(index) = version.lacking(&mut tx).await? else {
        // The planner knows nothing of rows that were copied a moment ago.
        for table in tables(&mut tx, &schema).await? {
            tx.execute(AssertSqlSafe(format!("ANALYZE {table}"))).await?;
        }
        tx.commit().await?;
        let detail = "it follows the log until it has caught up";
        return advance(pool, version, VersionState::CatchingUp, detail).await;
    };
    match make_index(&mut tx, version, index).await {
        Err(error) if is_about_data(&error) => {
            tx.rollback().await?;
            start_over_indexed(pool, version, &error).await?;
        }
        made => {
            made?;
            tx.commit().await?;
        }
    }
    Ok(true)
}

async fn has_mark(tx: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{schema}.{MARK}"))
        .fetch_one(tx)
        .await
}

/// From the end of this transaction on, a crash takes nothing away, and the mark is not needed.
async fn make_durable(tx: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    for table in tables(tx, schema).await? {
        tx.execute(AssertSqlSafe(format!("ALTER TABLE {table} SET LOGGED"))).await?;
    }
    tx.execute(AssertSqlSafe(format!("DROP TABLE {schema}.{MARK}"))).await?;
    Ok(())
}

/// Makes the index, which the version then lacks no more.
async fn make_index(
    tx: &mut PgConnection,
    version: &Version,
    index: String,
) -> Result<(), sqlx::Error> {
    tx.execute(AssertSqlSafe(index)).await?;
    version.set(tx, "indexes = indexes - -1").await.map(drop)
}

/// Empties the tables, makes all their indexes, and has the version follow the log from its start,
/// unless somebody has already.
async fn start_over_indexed(
    pool: &Pool,
    version: &Version,
    error: &sqlx::Error,
) -> Result<(), sqlx::Error> {
    let (projection, number, state) = (&*version.projection, version.version, version.state);
    let detail = format!(
        "an index does not take a row, so it starts over with its indexes, event by event: {}",
        chain(error)
    );
    emit(Stepped { projection, version: number, state: state.as_str(), detail: &detail });
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let is_here = |it: &Version| it.version == number && it.state == VersionState::Indexing;
    if !versions.iter().any(is_here) {
        return Ok(());
    }
    take_back(&mut tx, version, VersionState::CatchingUp).await?;
    while let Some(index) = version.lacking(&mut tx).await? {
        make_index(&mut tx, version, index).await?;
    }
    tx.commit().await
}
