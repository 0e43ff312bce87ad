//! What analysts see of a version: views in schema `analytics`, kept beside it like those of `read`, and
//! the key of their pseudonyms.
//!
//! Analysts ask long questions, and whoever shows another version needs their views for himself: what
//! reads one of them then is cancelled. Nothing else waits for analysts.

use infra::{postgres::errors::code, pseudonym};
use read_models::{Flat, Projection};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, types::Json};

use super::versions::Version;

#[derive(Serialize, Deserialize)]
pub(super) struct View {
    name: String,
    query: String,
    /// Statements that say what it and its columns are.
    comments: String,
}

/// The views that this code has for a version in this schema.
pub(super) fn of(projection: &Projection, schema: &str) -> Vec<View> {
    let view = |flat: &Flat| {
        let comment = |what: String, about: &str| {
            format!("COMMENT ON {what} IS '{}';", about.replace('\'', "''"))
        };
        let of_view = comment(format!("VIEW analytics.{}", flat.name), flat.about);
        let of_columns = flat.columns.iter().map(|(column, _, about)| {
            comment(format!("COLUMN analytics.{}.{column}", flat.name), about)
        });
        let comments = std::iter::once(of_view).chain(of_columns).collect();
        View { name: flat.name.to_owned(), query: flat.query(schema), comments }
    };
    projection.analytics.iter().map(view).collect()
}

/// Makes analysts see the version's views, and no more those that only the one had which it replaces.
pub(super) async fn show(
    tx: &mut PgConnection,
    version: &Version,
    replaced: Option<&Version>,
) -> Result<(), sqlx::Error> {
    let views = kept(tx, version).await?;
    let old = match replaced {
        Some(replaced) => kept(tx, replaced).await?,
        None => Vec::new(),
    };
    let gone = old.iter().filter(|old| !views.iter().any(|view| view.name == old.name));
    let gone: Vec<&str> = gone.map(|view| &*view.name).collect();
    let names: Vec<_> = views.iter().map(|view| &*view.name).chain(gone.iter().copied()).collect();
    cancel_readers(tx, &names).await?;
    for name in gone {
        tx.execute(AssertSqlSafe(format!("DROP VIEW IF EXISTS analytics.{name}"))).await?;
    }
    for view in &views {
        show_one(tx, view).await?;
    }
    Ok(())
}

/// Nobody reads the version's views any more, so that they can be taken away.
pub(crate) async fn free(tx: &mut PgConnection, version: &Version) -> Result<(), sqlx::Error> {
    let views = kept(tx, version).await?;
    let names: Vec<_> = views.iter().map(|view| &*view.name).collect();
    cancel_readers(tx, &names).await
}

/// What pseudonyms are made with, from now on.
pub(crate) async fn keep_key(tx: &mut PgConnection, key: &SecretString) -> Result<(), sqlx::Error> {
    let [inner, outer] = pseudonym::blocks(key);
    sqlx::query(
        "INSERT INTO projection.pseudonym_key AS kept (inner_block, outer_block) VALUES ($1, $2)
         ON CONFLICT (one_row) DO UPDATE SET inner_block = $1, outer_block = $2
         WHERE kept.inner_block <> $1",
    )
    .bind(inner)
    .bind(outer)
    .execute(tx)
    .await?;
    Ok(())
}

async fn kept(tx: &mut PgConnection, version: &Version) -> Result<Vec<View>, sqlx::Error> {
    let kept = version
        .query("SELECT analytics FROM projection.versions WHERE projection = $1 AND version = $2");
    let Json(views) = kept.fetch_one(tx).await?.try_get(0)?;
    Ok(views)
}

/// Ends what analysts do with these views. Who holds them in a transaction and does nothing loses the
/// connection: nothing else would give them free.
async fn cancel_readers(tx: &mut PgConnection, views: &[&str]) -> Result<(), sqlx::Error> {
    if views.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "SELECT CASE WHEN state = 'active' THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END
         FROM pg_stat_activity
         WHERE usename = 'tradewind_analyst' AND datname = current_database() AND pid IN (
             SELECT locks.pid FROM pg_locks AS locks JOIN pg_class ON pg_class.oid = locks.relation
             WHERE relnamespace = 'analytics'::regnamespace AND relname = ANY ($1)
         )",
    )
    .bind(views)
    .execute(tx)
    .await?;
    Ok(())
}

async fn show_one(tx: &mut PgConnection, view: &View) -> Result<(), sqlx::Error> {
    let View { name, query, comments } = view;
    let replace =
        format!("SAVEPOINT flat; CREATE OR REPLACE VIEW analytics.{name} AS {query}; RELEASE flat");
    let made = match tx.execute(AssertSqlSafe(replace)).await {
        // Columns are gone, or others now.
        Err(error) if code(&error).as_deref() == Some("42P16") => format!(
            "ROLLBACK TO flat; DROP VIEW analytics.{name}; CREATE VIEW analytics.{name} AS {query};"
        ),
        replaced => replaced.map(|_| String::new())?,
    };
    let said = format!("{made} GRANT SELECT ON analytics.{name} TO tradewind_analyst; {comments}");
    tx.execute(AssertSqlSafe(said)).await?;
    Ok(())
}
