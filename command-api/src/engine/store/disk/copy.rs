//! All of a store in its order, out of one database and into another.

use fjall::{Keyspace, PersistMode, Readable, Snapshot};
use infra::log::BoxError;

use super::{
    super::{super::snapshots::Rows, Head, Row, StoreCopy, StoreError, Table, TakeRow, encoding},
    tables::{CHECKPOINT, HEADER, Tables},
};

/// The database at one moment. What it holds is not thrown away by compactions meanwhile.
pub(super) struct DiskCopy {
    head: Head,
    snapshot: Snapshot,
    tables: [(Table, Keyspace); 3],
}

impl Tables {
    /// None before the first write.
    pub(super) fn copy(&self) -> Result<Option<DiskCopy>, StoreError> {
        let snapshot = self.db.snapshot();
        let meta = |key| snapshot.get(&self.meta, key);
        let (Some(header), Some(checkpoint)) = (meta(HEADER)?, meta(CHECKPOINT)?) else {
            return Ok(None);
        };
        let head = Head {
            header: encoding::read_header(&header).map_err(StoreError::Corrupt)?,
            checkpoint: encoding::read_checkpoint(&checkpoint).map_err(StoreError::Corrupt)?,
        };
        let tables = Table::ALL.map(|table| (table, self.keyspace(table).clone()));
        Ok(Some(DiskCopy { head, snapshot, tables }))
    }

    /// Takes the rows of a copy into files, past the journal.
    pub(super) fn fill(&self, rows: &mut Rows) -> Result<(), BoxError> {
        let mut next = rows.next()?;
        for table in Table::ALL {
            let mut files = self.keyspace(table).start_ingestion()?;
            while let Some(row) = next.filter(|row| row.table == table) {
                files.write(row.key, row.value)?;
                if table == Table::States && encoding::is_unread(row.value) {
                    let stream = String::from_utf8_lossy(row.key);
                    self.meta.insert(Self::unreadable_key(&stream), "")?;
                }
                next = rows.next()?;
            }
            files.finish()?;
        }
        if next.is_some() { Err("its rows are out of order".into()) } else { Ok(()) }
    }

    /// Makes what is in the tables a store, on the disk.
    pub(super) fn seal(&self, header: &[u8], checkpoint: &[u8]) -> Result<(), BoxError> {
        self.put_header(header)?;
        self.meta.insert(CHECKPOINT, checkpoint)?;
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    pub(super) fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::States => &self.states,
            Table::Outcomes => &self.outcomes,
            Table::Deadlines => &self.deadlines,
        }
    }
}

impl StoreCopy for DiskCopy {
    fn head(&self) -> &Head {
        &self.head
    }

    fn rows(&self, take: &mut TakeRow<'_>) -> Result<(), BoxError> {
        for (table, keyspace) in &self.tables {
            for found in self.snapshot.iter(keyspace) {
                let (key, value) = found.into_inner()?;
                take(Row { table: *table, key: &key, value: &value })?;
            }
        }
        Ok(())
    }
}
