//! What the log of a table comes to.

use std::collections::BTreeMap;

use object_store::path::Path;

use super::{
    action::{Add, Line, MetaData, Protocol, Remove, Txn},
    error::DeltaError,
};

/// What the log says up to a version.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) protocol: Protocol,
    pub(crate) meta: MetaData,
    /// By application.
    pub(crate) txns: BTreeMap<String, Txn>,
    /// By path.
    pub(crate) files: BTreeMap<String, Add>,
    pub(super) removed: BTreeMap<String, Remove>,
}

impl Snapshot {
    /// Whether a file is part of it, or was of one before, which somebody may read still.
    pub(crate) fn names(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.removed.contains_key(path)
    }
}

/// A snapshot that is being put together.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) protocol: Option<Protocol>,
    pub(super) meta: Option<MetaData>,
    pub(super) txns: BTreeMap<String, Txn>,
    pub(super) files: BTreeMap<String, Add>,
    pub(super) removed: BTreeMap<String, Remove>,
}

impl From<Snapshot> for Parts {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { protocol, meta, txns, files, removed, .. } = snapshot;
        Self { protocol: Some(protocol), meta: Some(meta), txns, files, removed }
    }
}

impl Parts {
    /// # Errors
    /// It is no table, or one that this release does not know.
    pub(super) fn whole(self, table: &Path, version: u64) -> Result<Snapshot, DeltaError> {
        let Self { protocol, meta, txns, files, removed } = self;
        let table = table.to_string();
        let (Some(protocol), Some(meta)) = (protocol, meta) else {
            let why = "its log has no protocol or no schema".to_owned();
            return Err(DeltaError::NoTable { table, why });
        };
        if !protocol.is_known() {
            let (reader, writer) = (protocol.min_reader_version, protocol.min_writer_version);
            return Err(DeltaError::Newer { table, reader, writer });
        }
        Ok(Snapshot { version, protocol, meta, txns, files, removed })
    }

    pub(super) fn apply(&mut self, line: Line) {
        let Line { protocol, meta_data, txn, add, remove } = line;
        self.protocol = protocol.or(self.protocol.take());
        self.meta = meta_data.or(self.meta.take());
        if let Some(txn) = txn {
            self.txns.insert(txn.app_id.clone(), txn);
        }
        if let Some(add) = add {
            self.removed.remove(&add.path);
            self.files.insert(add.path.clone(), add);
        }
        if let Some(remove) = remove {
            self.files.remove(&remove.path);
            self.removed.insert(remove.path.clone(), remove);
        }
    }

    pub(super) fn apply_commit(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DeltaError> {
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let read = serde_json::from_slice(line).map_err(|error| error.to_string());
            let malformed = |why| DeltaError::Malformed { path: path.to_string(), why };
            self.apply(read.map_err(malformed)?);
        }
        Ok(())
    }
}
