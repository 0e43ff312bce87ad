//! All tables of an export: written together, and the place that is kept behind them.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use infra::clock::Clock;
use object_store::{ObjectStore, path::Path};

use super::{
    batch::{EVENTS, Full},
    columns::Catalogue,
    delta::{self, Table},
    error::ExportError,
    identity::Identity,
    place::Kept,
    standing::{Standing, Written},
};

/// Tables that are written at once, as machines have processors.
const TABLES_AT_ONCE: usize = 2;

pub(super) struct Tables {
    store: Arc<dyn ObjectStore>,
    root: Path,
    catalogue: Arc<Catalogue>,
    clock: Clock,
    standings: BTreeMap<String, Standing>,
    kept: Option<Kept>,
    written: Written,
}

impl Tables {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        root: Path,
        catalogue: Arc<Catalogue>,
        clock: Clock,
    ) -> Self {
        let (standings, written) = (BTreeMap::new(), Written::default());
        Self { store, root, catalogue, clock, standings, kept: None, written }
    }

    /// Where an export of these has ended, if its tables are as it left them.
    ///
    /// # Errors
    /// They are not, or are of something else.
    pub(super) async fn find(&mut self, query: &str) -> Result<Option<Kept>, ExportError> {
        self.check_root().await?;
        let Some(kept) = Kept::load(&self.store, &self.root).await? else { return Ok(None) };
        if kept.query != query {
            return Err(ExportError::OtherQuery { table: EVENTS.to_owned(), query: kept.query });
        }
        let identity = Identity { log: kept.log.clone(), query: kept.query.clone() };
        for (name, version) in &kept.tables {
            let standing = self.standing(name);
            if standing.version(&identity).await?.is_none_or(|found| found < *version) {
                let place = Kept::path(&self.root).to_string();
                return Err(ExportError::Missing { table: name.clone(), place });
            }
        }
        self.kept = Some(kept.clone());
        Ok(Some(kept))
    }

    pub(super) const fn written(&self) -> Written {
        self.written
    }

    /// Commits these rows, and keeps the cursor behind them when all tables have theirs.
    pub(super) async fn write(
        &mut self,
        identity: Identity,
        full: Full,
        cursor: String,
    ) -> Result<(), ExportError> {
        let Full { lines, mut rows } = full;
        for name in rows.keys() {
            self.standing(name);
        }
        let now = self.clock.now();
        let mut writes = Vec::<BoxFuture<'_, Result<_, ExportError>>>::new();
        for (name, standing) in &mut self.standings {
            let Some(rows) = rows.remove(name) else { continue };
            let (identity, lines, is_events) = (&identity, &lines, name == EVENTS);
            let write =
                async move { Ok((is_events, standing.write(identity, lines, rows, now).await?)) };
            writes.push(write.boxed());
        }
        let written: Vec<_> =
            stream::iter(writes).buffer_unordered(TABLES_AT_ONCE).try_collect().await?;
        for (is_events, written) in written {
            self.written.rows += if is_events { written.rows } else { 0 };
            self.written.files += written.files;
            self.written.bytes += written.bytes;
        }
        self.keep(identity, cursor).await
    }

    /// Puts the small files of each day together, where there are at least so many; tells how many went.
    pub(super) async fn compact(
        &mut self,
        identity: &Identity,
        files_min: usize,
    ) -> Result<u64, ExportError> {
        let now = self.clock.now();
        let mut compacted = 0;
        for standing in self.standings.values_mut() {
            compacted += standing.compact(identity, files_min, now).await?;
        }
        Ok(compacted)
    }

    async fn keep(&mut self, identity: Identity, cursor: String) -> Result<(), ExportError> {
        let versions = self.standings.iter().filter_map(|(name, standing)| {
            Some((name.clone(), standing.snapshot.as_ref()?.version))
        });
        let Identity { log, query } = identity;
        let types = self.catalogue.types().map(ToOwned::to_owned).collect();
        let kept = Kept { log, query, cursor, types, tables: versions.collect() };
        if self.kept.as_ref() != Some(&kept) {
            kept.store(&self.store, &self.root).await?;
            self.kept = Some(kept);
        }
        Ok(())
    }

    fn standing(&mut self, name: &str) -> &mut Standing {
        let (store, root, catalogue) = (&self.store, &self.root, &self.catalogue);
        self.standings.entry(name.to_owned()).or_insert_with(|| {
            let table = Table::new(Arc::clone(store), root.clone().join(name));
            Standing::new(table, catalogue.columns(name))
        })
    }

    async fn check_root(&self) -> Result<(), ExportError> {
        let log = self.root.clone().join("_delta_log");
        let first = self.store.list(Some(&log)).next().await;
        match first.transpose() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(ExportError::IsTable(self.root.to_string())),
            Err(error) => Err(delta::storage("listing", &log, error).into()),
        }
    }
}
