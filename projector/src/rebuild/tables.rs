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

use super::{Refused, Stepped, advance};
pub(crate) use crate::store::versions::RebuildRequest;
use crate::{
    apply::{is_marked, tables},
    rows::MARK,
    store::{
        analytics, checkpoints,
        letters::forget_version,
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
    for index in version.note_indexes(tx).await? {
        tx.execute(AssertSqlSafe(format!("DROP INDEX {index}"))).await?;
    }
    not_logged(tx, &version.schema()).await?;
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

/// Takes a version away, with its tables and the views that show them. Whoever still feeds it finds no
/// checkpoint.
pub(crate) async fn remove(
    tx: &mut PgConnection,
    version: &Version,
) -> Result<Version, sqlx::Error> {
    analytics::free(tx, version).await?;
    checkpoints::remove(tx, version).await?;
    forget_version(tx, version).await?;
    let schema = version.schema();
    tx.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await?;
    let set = "state = 'dropped', verify = false, switch = false, changed_at = now()";
    version.set(tx, set).await
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
    let mark = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL");
    if mark.bind(format!("{schema}.{MARK}")).fetch_one(&mut *tx).await? {
        if !is_marked(&mut tx, &schema).await? {
            tx.rollback().await?;
            start_over(pool, &version.projection, version.version).await?;
            return Ok(true);
        }
        make_durable(&mut tx, &schema).await?;
        tx.commit().await?;
        return Ok(true);
    }
    let Some(index) = version.next_index(&mut tx).await? else {
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
            let why = format!(
                "an index does not take a row, so it starts over with its indexes, event by event: {}",
                chain(&error)
            );
            let to = VersionState::CatchingUp;
            take_back(pool, &version.projection, version.version, to, &why).await?;
        }
        made => {
            made?;
            tx.commit().await?;
        }
    }
    Ok(true)
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

/// Copies all once more.
pub(super) async fn start_over(
    pool: &Pool,
    projection: &str,
    number: i32,
) -> Result<(), sqlx::Error> {
    let why = "PostgreSQL has lost its rows in a crash, so it starts over";
    take_back(pool, projection, number, VersionState::Copying, why).await
}

/// Empties all tables and takes all checkpoints back to the start of the log, unless somebody has already:
/// for a version that is to be copied once more, or to follow the log with all its indexes.
async fn take_back(
    pool: &Pool,
    projection: &str,
    number: i32,
    to: VersionState,
    why: &str,
) -> Result<(), sqlx::Error> {
    let is_copying = to == VersionState::Copying;
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let is_here = |it: &&Version| {
        it.version == number && (it.state == VersionState::Indexing || is_copying && it.state == to)
    };
    let Some(version) = versions.iter().find(is_here) else { return Ok(()) };
    let schema = version.schema();
    if is_copying && is_marked(&mut tx, &schema).await? {
        return Ok(());
    }
    // The checkpoints first, as batches do: so neither waits for the other for ever.
    checkpoints::take_back(&mut tx, version, is_copying).await?;
    for table in tables(&mut tx, &schema).await? {
        tx.execute(AssertSqlSafe(format!("TRUNCATE {table}"))).await?;
    }
    // What was parked is met again.
    forget_version(&mut tx, version).await?;
    let state = to.as_str();
    let set = format!("state = '{state}', problem = NULL, changed_at = now()");
    version.set(&mut *tx, &set).await?;
    if is_copying {
        tx.execute(AssertSqlSafe(format!("INSERT INTO {schema}.{MARK} VALUES (now())"))).await?;
    } else {
        while let Some(index) = version.next_index(&mut tx).await? {
            make_index(&mut tx, version, index).await?;
        }
    }
    tx.commit().await?;
    emit(Stepped { projection, version: number, state, detail: why });
    Ok(())
}
