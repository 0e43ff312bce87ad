//! By which an export knows its own tables.

/// What is exported: whose events, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The id of the log.
    pub(crate) log: String,
    pub(crate) query: String,
}

impl Identity {
    /// How a table names a shard of this log.
    pub(super) fn app_id(&self, shard: u32) -> String {
        format!("tradewind/{}/{shard}", self.log)
    }
}
