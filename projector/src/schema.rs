//! What a projector makes sure of before it begins: each of its projections has a version.
//!
//! The first version of a projection is live at once. A release that makes other rows of the same
//! events builds a version of its own beside the live one, which goes on being read.

use infra::{config::Rebuild, postgres::Pool};
use read_models::Projection;
use sqlx::{AssertSqlSafe, PgConnection};
use tracing::warn;

use crate::{
    rebuild::{
        Refused,
        begin::{RebuildRequest, begin, begin_live, locked},
    },
    versions::{RELEASE, Version, VersionState, views},
};

/// Held by whoever creates tables: several projectors may start at once.
const LOCK: i64 = 0x7472_6164_6577;

/// # Errors
/// PostgreSQL is away, or the foundation of infra's migrations is missing.
pub(crate) async fn ensure(
    pool: &Pool,
    projections: &[Projection],
    rebuild: Rebuild,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    for projection in projections {
        // From here on nobody switches: what is shown stays what is live.
        let versions = locked(&mut tx, projection.name).await?;
        let there = versions.iter().filter(|version| version.state != VersionState::Dropped);
        ensure_one(&mut tx, projection, &there.collect::<Vec<_>>(), rebuild).await?;
    }
    tx.commit().await
}

async fn ensure_one(
    tx: &mut PgConnection,
    projection: &Projection,
    versions: &[&Version],
    rebuild: Rebuild,
) -> Result<(), sqlx::Error> {
    let newest = versions.iter().map(|version| version.fold).max();
    let Some(newest) = newest else {
        let first = begin_live(tx, projection).await?;
        return show(tx, &views(projection, first.version).0).await;
    };
    let mut is_fed = false;
    for version in versions.iter().filter(|version| version.fold == projection.version) {
        is_fed = true;
        // Names of views and columns may change while the rows stay what they are.
        let kept = keep_views(tx, projection, version).await?;
        if version.state == VersionState::Live && kept {
            show(tx, &views(projection, version.version).0).await?;
        }
    }
    if is_fed {
        return Ok(());
    }
    // An older release that starts once more must not undo what a newer one has begun.
    if rebuild == Rebuild::Auto && projection.version > newest {
        let request = RebuildRequest { switch: true, ..RebuildRequest::default() };
        match begin(tx, projection, request).await {
            Ok(_) => return Ok(()),
            Err(Refused::Database(error)) => return Err(error),
            // Another release builds; this one is told below that nothing of it is fed.
            Err(_) => {}
        }
    }
    let (projection, fold) = (projection.name, projection.version);
    warn!(
        projection,
        "no version of {projection} is made by this release (fold {fold}), so this projector does \
         not feed it: `projector rebuild {projection}` makes one"
    );
    Ok(())
}

/// True if the stored views were others, and not those of a newer release.
async fn keep_views(
    tx: &mut PgConnection,
    projection: &Projection,
    version: &Version,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE projection.versions SET views = $3, views_release = $4
         WHERE projection = $1 AND version = $2 AND views <> $3 AND views_release <= $4",
    )
    .bind(projection.name)
    .bind(version.version)
    .bind(views(projection, version.version))
    .bind(&RELEASE[..])
    .execute(tx)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Makes readers see these views.
///
/// # Errors
/// If PostgreSQL cannot answer, or somebody reads the old ones for longer than a lock is waited for.
pub(crate) async fn show(
    tx: &mut PgConnection,
    views: &[(String, String)],
) -> Result<(), sqlx::Error> {
    for (name, query) in views {
        // A view that only gets more columns stays the same one for those who read it.
        let replaced = sqlx::raw_sql(AssertSqlSafe(format!(
            "SAVEPOINT view; CREATE OR REPLACE VIEW read.{name} AS {query}; RELEASE view"
        )))
        .execute(&mut *tx)
        .await;
        let made = match replaced {
            Err(error) if has_other_columns(&error) => {
                format!(
                    "ROLLBACK TO view; DROP VIEW read.{name}; CREATE VIEW read.{name} AS {query};"
                )
            }
            other => other.map(|_| String::new())?,
        };
        sqlx::raw_sql(AssertSqlSafe(format!(
            "{made} GRANT SELECT ON read.{name} TO tradewind_query, tradewind_projector"
        )))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// `CREATE OR REPLACE VIEW` refuses to take columns away, to rename them or to change their types.
fn has_other_columns(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("42P16")
}

/// What operators can do about it.
#[must_use]
pub(crate) fn explain(error: &sqlx::Error) -> &'static str {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("3F000" | "42P01" | "42703") => "the database has not been migrated",
        Some("42501") => "the database's user lacks a permission; migrate the database",
        Some(_) => "PostgreSQL refuses to make the tables; the log says why",
        None => "PostgreSQL does not answer",
    }
}
