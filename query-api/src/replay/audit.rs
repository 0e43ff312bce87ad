//! The record that an unmasked reading leaves, in a table that this service can only add to.
//!
//! **Invariant:** it is stored before the first text is shown; without it none is.

use infra::{http::problem::Problem, postgres::Pool};

/// Where records go.
pub(crate) enum Audit {
    Table(Pool),
    /// What was recorded.
    #[cfg(test)]
    Kept(std::sync::Mutex<Vec<(String, String)>>),
}

impl Audit {
    /// # Errors
    /// 503 if it could not be stored.
    pub(super) async fn personal_read(&self, reader: &str, request: &str) -> Result<(), Problem> {
        match self {
            Self::Table(pool) => {
                let sql = "INSERT INTO audit.personal_reads (reader, request) VALUES ($1, $2)";
                let stored = sqlx::query(sql).bind(reader).bind(request).execute(pool).await;
                stored.map(drop).map_err(|error| {
                    tracing::error!(%error, "a reading of personal texts could not be recorded");
                    let detail = "personal texts are shown only if that can be recorded; try later";
                    Problem::unavailable("audit_unavailable", detail).caused_by(error)
                })
            }
            #[cfg(test)]
            Self::Kept(kept) => {
                kept.lock().unwrap().push((reader.to_owned(), request.to_owned()));
                Ok(())
            }
        }
    }
}
