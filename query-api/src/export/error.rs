//! Why an export does not go on.

use infra::task::TaskFailed;

use super::{
    delta::{
        DeltaError,
        schema::{Clash, InvalidSchema},
    },
    event::InvalidLine,
    file::FileError,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error(transparent)]
    Line(#[from] InvalidLine),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Failed(#[from] TaskFailed),
    #[error("table {table} holds events of another log; export to another place")]
    OtherLog { table: String },
    #[error("the log that is read became another one under way")]
    LogChanged,
    #[error(
        "what is read does not tell which log it is of: nothing has claimed its first shard yet"
    )]
    NoLog,
    #[error(
        "table {table} is of another export, of {}: ask for the same, or export to another place",
        asked(query)
    )]
    OtherQuery { table: String, query: String },
    #[error("table {table} was not made by an export")]
    NotOurs { table: String },
    #[error("{place} holds no place of an export: {why}")]
    NoPlace { place: String, why: String },
    #[error(
        "table {table} was removed or set back since: remove {place}, too, so that it is written again from \
         the beginning"
    )]
    Missing { table: String, place: String },
    #[error("others write to table {table} so often that this export gets no turn")]
    Crowded { table: String },
    #[error("table {table}: {source}")]
    Schema { table: String, source: InvalidSchema },
    #[error("table {table} does not fit its events any more: {source}")]
    Clash { table: String, source: Clash },
    #[error("what was to be written before was not")]
    Aborted,
    #[error("{0} is a Delta table itself; give the folder that is to hold the tables")]
    IsTable(String),
}

impl ExportError {
    /// Whether what was asked for is wrong: asking again gives the same answer.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Delta(error) => error.is_final() && !matches!(error, DeltaError::Gone { .. }),
            Self::OtherLog { .. }
            | Self::OtherQuery { .. }
            | Self::NotOurs { .. }
            | Self::NoPlace { .. }
            | Self::Missing { .. }
            | Self::Schema { .. }
            | Self::Clash { .. }
            | Self::IsTable(_) => true,
            Self::Line(_)
            | Self::File(_)
            | Self::Failed(_)
            | Self::LogChanged
            | Self::NoLog
            | Self::Aborted
            | Self::Crowded { .. } => false,
        }
    }
}

fn asked(query: &str) -> &str {
    if query.is_empty() { "everything" } else { query }
}
