//! How rows may be written, and what each way of it does.

use anyhow::Result;

use super::value::Column;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; all rows are kept in memory
    #[default]
    Table,
    /// With a header; nothing at all is null
    Csv,
    /// An array with an object per row
    Json,
    /// Typed columns, into a file; all rows are kept in memory
    Parquet,
}

impl Format {
    /// Whether a value is found by the name of its column.
    pub(super) const fn needs_names(self) -> bool {
        matches!(self, Self::Json | Self::Parquet)
    }
}

/// A row, as PostgreSQL writes its values; none is null.
pub(super) type Cells = [Option<String>];

/// Takes rows, and then the end.
pub(super) trait Sink: Send {
    fn row(&mut self, columns: &[Column], cells: &Cells) -> Result<()>;

    fn end(&mut self, columns: &[Column]) -> Result<()>;
}
