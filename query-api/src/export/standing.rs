//! One table of an export: how far it has got, and how rows come into it once.
//!
//! For each shard the table has a transaction of ours, whose version is the `seq` of the last commit of that shard of
//! which it has rows. It is committed with those rows. Who holds a row whose `seq` is not beyond it throws
//! the row away, because the table has it.
//!
//! **Invariant:** the rows that are handed over leave out none that the table lacks, and hold commits of the log as
//! a whole. Then a version is right whoever makes it, and whatever became of the one that tried before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use domain::timestamp::Timestamp;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use infra::task;
use serde_json::json;
use uuid::Uuid;

use super::{
    batch::{DATE, Row, columns_of_files},
    delta::{
        Action, Committed, Field, Snapshot, Table, Txn,
        action::{Format, MetaData, Protocol},
        schema,
    },
    error::ExportError,
    file::{self, DataFile},
    identity::Identity,
};

/// So many others may come before at a time. They took less work each than is lost by giving up.
const TRIES_MAX: u32 = 50;
/// Files that are stored at once.
const PUTS_MAX: usize = 4;
/// Of the table's configuration.
const LOG: &str = "tradewind.log";
const QUERY: &str = "tradewind.query";
/// Of which columns files have statistics in the log. delta-rs takes one that has none where it is to have them for
/// null, and leaves such files out.
const STATS: (&str, &str) = ("delta.dataSkippingStatsColumns", "time,seq");

pub(crate) struct Standing {
    pub(super) table: Table,
    pub(super) snapshot: Option<Snapshot>,
    /// What its events have.
    columns: Vec<Field>,
}

/// What a table became by a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Standing {
    pub(crate) fn new(table: Table, columns: Vec<Field>) -> Self {
        Self { table, snapshot: None, columns }
    }

    /// The version that it has now; none if there is no table.
    ///
    /// # Errors
    /// It is none of this export.
    pub(crate) async fn version(
        &mut self,
        identity: &Identity,
    ) -> Result<Option<u64>, ExportError> {
        self.refresh(identity).await?;
        Ok(self.snapshot.as_ref().map(|snapshot| snapshot.version))
    }

    /// Commits those rows that the table does not have.
    pub(crate) async fn write(
        &mut self,
        identity: &Identity,
        lines: &Bytes,
        rows: Vec<Row>,
        now: Timestamp,
    ) -> Result<Written, ExportError> {
        let mut rows = Arc::new(rows);
        let mut files: Option<(Vec<Field>, Vec<DataFile>)> = None;
        for _ in 0..TRIES_MAX {
            self.refresh(identity).await?;
            let fresh = self.fresh(identity, &rows);
            if fresh.len() < rows.len() {
                self.discard(files.take()).await;
                rows = Arc::new(fresh);
            }
            if rows.is_empty() {
                return Ok(Written::default());
            }
            let columns = self.merged()?;
            if files.as_ref().is_none_or(|(made_of, _)| *made_of != columns) {
                self.discard(files.take()).await;
                let made = self.store_files(&columns, lines, &rows, now).await?;
                files = Some((columns.clone(), made));
            }
            let Some((_, made)) = &files else { continue };
            let version = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.version + 1);
            let actions = self.actions(identity, &columns, &rows, made, now);
            if self.table.commit(version, &actions).await? == Committed::Done {
                let sizes = made.iter().map(|file| file.bytes.len() as u64);
                let written = Written {
                    rows: rows.len() as u64,
                    files: made.len() as u64,
                    bytes: sizes.sum(),
                };
                self.committed(identity, now).await?;
                return Ok(written);
            }
        }
        Err(ExportError::Crowded { table: self.table.name().to_owned() })
    }

    /// Those beyond the table's transactions.
    fn fresh(&self, identity: &Identity, rows: &[Row]) -> Vec<Row> {
        let Some(snapshot) = &self.snapshot else { return rows.to_vec() };
        let shards: BTreeSet<_> = rows.iter().map(|row| row.shard).collect();
        let done = |shard| snapshot.txns.get(&identity.app_id(shard)).map_or(0, |txn| txn.version);
        let done: BTreeMap<_, _> = shards.into_iter().map(|shard| (shard, done(shard))).collect();
        let is_fresh = |row: &&Row| done.get(&row.shard).is_none_or(|done| row.seq > *done);
        rows.iter().filter(is_fresh).cloned().collect()
    }

    pub(super) async fn refresh(&mut self, identity: &Identity) -> Result<(), ExportError> {
        match &mut self.snapshot {
            Some(snapshot) => self.table.refresh(snapshot).await?,
            None => self.snapshot = self.table.load().await?,
        }
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let table = || self.table.name().to_owned();
        let set = |name| snapshot.meta.configuration.get(name);
        match (set(LOG), set(QUERY)) {
            (Some(log), _) if *log != identity.log => Err(ExportError::OtherLog { table: table() }),
            (Some(_), Some(query)) if *query == identity.query => Ok(()),
            (Some(_), Some(query)) => {
                Err(ExportError::OtherQuery { table: table(), query: query.clone() })
            }
            _ => Err(ExportError::NotOurs { table: table() }),
        }
    }

    /// The table's columns, and those that events have got since.
    fn merged(&self) -> Result<Vec<Field>, ExportError> {
        let Some(snapshot) = &self.snapshot else { return Ok(self.columns.clone()) };
        let table = || self.table.name().to_owned();
        let have = schema::read(&snapshot.meta.schema_string)
            .map_err(|source| ExportError::Schema { table: table(), source })?;
        schema::merged(&have, &self.columns)
            .map_err(|source| ExportError::Clash { table: table(), source })
    }

    async fn store_files(
        &self,
        columns: &[Field],
        lines: &Bytes,
        rows: &Arc<Vec<Row>>,
        now: Timestamp,
    ) -> Result<Vec<DataFile>, ExportError> {
        let (columns, lines, rows) = (columns_of_files(columns), lines.clone(), Arc::clone(rows));
        let job = move || file::write(&columns, &lines, &rows, now);
        let files = task::spawn_blocking("parquet", job).await??;
        let mut puts = Vec::with_capacity(files.len());
        for DataFile { add, bytes } in &files {
            puts.push(self.table.put_data(&add.path, bytes.clone()).boxed());
        }
        stream::iter(puts).buffer_unordered(PUTS_MAX).try_collect::<()>().await?;
        Ok(files)
    }

    fn actions(
        &self,
        identity: &Identity,
        columns: &[Field],
        rows: &[Row],
        files: &[DataFile],
        now: Timestamp,
    ) -> Vec<Action> {
        let millis = now.as_micros() / 1_000;
        let mut actions = vec![commit_info("WRITE", millis)];
        let schema_string = schema::write(columns);
        match &self.snapshot {
            None => {
                actions.push(Action::Protocol(Protocol::OURS));
                actions.push(Action::MetaData(first_meta(
                    self.table.name(),
                    identity,
                    schema_string,
                    millis,
                )));
            }
            Some(snapshot) if snapshot.meta.schema_string != schema_string => {
                // Whoever has written the schema before may have spelt it otherwise.
                let is_same = schema::read(&snapshot.meta.schema_string)
                    .is_ok_and(|have| schema::write(&have) == schema_string);
                if !is_same {
                    actions.push(Action::MetaData(MetaData {
                        schema_string,
                        ..snapshot.meta.clone()
                    }));
                }
            }
            Some(_) => {}
        }
        let mut last = BTreeMap::<u32, i64>::new();
        for row in rows {
            let seq = last.entry(row.shard).or_default();
            *seq = row.seq.max(*seq);
        }
        actions.extend(last.into_iter().map(|(shard, version)| {
            let app_id = identity.app_id(shard);
            Action::Txn(Txn { app_id, version, last_updated: Some(millis) })
        }));
        actions.extend(files.iter().map(|file| Action::Add(file.add.clone())));
        actions
    }

    /// Nobody will read files whose commit was lost. A commit that was lost to itself, because its answer
    /// was, has made them the table's.
    async fn discard(&self, files: Option<(Vec<Field>, Vec<DataFile>)>) {
        let Some((_, files)) = files else { return };
        for DataFile { add, .. } in files {
            if !self.snapshot.as_ref().is_some_and(|snapshot| snapshot.names(&add.path)) {
                self.table.delete_data(&add.path).await;
            }
        }
    }

    pub(super) async fn committed(
        &mut self,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<(), ExportError> {
        self.refresh(identity).await?;
        if let Some(snapshot) = &mut self.snapshot
            && let Err(error) = self.table.checkpoint(snapshot, now).await
        {
            // Without one the table is as right, and the next will do.
            tracing::warn!(%error, "no checkpoint of {}", self.table.name());
        }
        Ok(())
    }
}

pub(super) fn commit_info(operation: &str, millis: i64) -> Action {
    Action::CommitInfo(json!({
        "timestamp": millis,
        "operation": operation,
        "operationParameters": {},
        "engineInfo": concat!("tradewind/", env!("CARGO_PKG_VERSION")),
    }))
}

fn first_meta(name: &str, identity: &Identity, schema_string: String, millis: i64) -> MetaData {
    MetaData {
        id: Uuid::new_v4().to_string(),
        name: Some(name.to_owned()),
        description: None,
        format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
        schema_string,
        partition_columns: vec![DATE.to_owned()],
        configuration: [(LOG, &*identity.log), (QUERY, &identity.query), STATS]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        created_time: Some(millis),
    }
}
