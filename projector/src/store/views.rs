//! What readers see of a version: views, kept beside it as queries, for whoever switches to it later may run
//! other code than the one that made it.

use infra::postgres::errors::code;
use read_models::Projection;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, SqlSafeStr, SqlStr, types::Json};

use super::{analytics, versions::Version};

/// This release, as it is compared with others.
const RELEASE: [&str; 3] = [
    env!("CARGO_PKG_VERSION_MAJOR"),
    env!("CARGO_PKG_VERSION_MINOR"),
    env!("CARGO_PKG_VERSION_PATCH"),
];

/// By name.
type Views = Vec<(String, String)>;

/// Puts the schema's name where the text says `{schema}`. Both come from this program's constants.
#[must_use]
pub(crate) fn in_schema(text: &'static str, schema: &str) -> SqlStr {
    AssertSqlSafe(text.replace("{schema}", schema)).into_sql_str()
}

/// Keeps the views that this code has for a version. True if they were others, and not those of a newer
/// release.
pub(crate) async fn keep(
    tx: &mut PgConnection,
    projection: &Projection,
    version: &Version,
) -> Result<bool, sqlx::Error> {
    let schema = version.schema();
    let views = projection.views.iter().map(|(name, query)| {
        let query = in_schema(query, &schema);
        ((*name).to_owned(), query.as_str().to_owned())
    });
    let kept = version.query(
        "UPDATE projection.versions SET views = $3, views_release = $4::int[], analytics = $5
         WHERE projection = $1 AND version = $2 AND (views <> $3 OR analytics <> $5)
           AND views_release <= $4::int[]",
    );
    let kept = kept.bind(Json(views.collect::<Views>())).bind(&RELEASE[..]);
    let kept = kept.bind(Json(analytics::of(projection, &schema))).execute(tx).await?;
    Ok(kept.rows_affected() > 0)
}

/// Makes readers see the version's views, and no more those that only the one had which it replaces. Fails
/// if somebody reads the old ones for longer than a lock is waited for.
pub(crate) async fn show(
    tx: &mut PgConnection,
    version: &Version,
    replaced: Option<&Version>,
) -> Result<(), sqlx::Error> {
    // Before readers wait for locks: analysts ask long questions.
    analytics::show(tx, version, replaced).await?;
    let views = of(tx, version).await?;
    for (name, query) in &views {
        show_one(tx, name, query).await?;
    }
    let Some(replaced) = replaced else { return Ok(()) };
    for (name, _) in of(tx, replaced).await? {
        // It would go on showing that one.
        if !views.iter().any(|(shown, _)| *shown == name) {
            tx.execute(AssertSqlSafe(format!("DROP VIEW IF EXISTS read.{name}"))).await?;
        }
    }
    Ok(())
}

async fn of(tx: &mut PgConnection, version: &Version) -> Result<Views, sqlx::Error> {
    let kept = version
        .query("SELECT views FROM projection.versions WHERE projection = $1 AND version = $2");
    let Json(views) = kept.fetch_one(tx).await?.try_get(0)?;
    Ok(views)
}

async fn show_one(tx: &mut PgConnection, name: &str, query: &str) -> Result<(), sqlx::Error> {
    // A view that only gets more columns stays the same one for those who read it.
    let replace =
        format!("SAVEPOINT view; CREATE OR REPLACE VIEW read.{name} AS {query}; RELEASE view");
    let made = match tx.execute(AssertSqlSafe(replace)).await {
        // It refuses to take columns away, to rename them or to change their types.
        Err(error) if code(&error).as_deref() == Some("42P16") => {
            format!("ROLLBACK TO view; DROP VIEW read.{name}; CREATE VIEW read.{name} AS {query};")
        }
        replaced => replaced.map(|_| String::new())?,
    };
    let grant =
        format!("{made} GRANT SELECT ON read.{name} TO tradewind_query, tradewind_projector");
    tx.execute(AssertSqlSafe(grant)).await?;
    Ok(())
}
