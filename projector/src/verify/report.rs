//! What a verification found.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Differences that a report names; more are counted.
const NAMED_MAX: usize = 100;

/// What a verification found, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Events of the log that were folded.
    pub events: u64,
    /// Streams whose next event does not fit: their rows are compared as they were before it.
    pub stopped: u64,
    pub tables: Vec<TableReport>,
    /// The first hundred.
    pub differences: Vec<Difference>,
}

/// What was compared of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableReport {
    pub table: String,
    /// Rows that the log makes.
    pub rows_expected: u64,
    pub rows_found: u64,
    /// The same for the same rows in any order.
    pub checksum_expected: String,
    pub checksum_found: String,
    /// Rows that differ, are missing or should not be there.
    pub rows_differing: u64,
}

/// One column of one row that is not what the log makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    #[schema(example = "orders")]
    pub table: String,
    /// The primary key, its columns joined by commas.
    pub key: String,
    /// Absent if the whole row is missing or should not be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Absent if there should be nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// Absent if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Value>,
}

impl Report {
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.rows_differing == 0)
    }

    /// In one line, for logs.
    #[must_use]
    pub fn summary(&self) -> String {
        let rows: u64 = self.tables.iter().map(|table| table.rows_expected).sum();
        let differing: u64 = self.tables.iter().map(|table| table.rows_differing).sum();
        format!("{differing} of {rows} rows differ from the fold of {} events", self.events)
    }

    pub(super) fn name(&mut self, difference: Difference) {
        if self.differences.len() < NAMED_MAX {
            self.differences.push(difference);
        }
    }
}
