//! One table: what its log says now, and how to add a version to it.

use std::sync::Arc;

use bytes::Bytes;
use domain::timestamp::Timestamp;
use futures_util::TryStreamExt;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path,
};
use serde::Deserialize;

use super::{
    action::{Action, Remove, to_lines},
    checkpoint,
    error::{DeltaError, storage},
    snapshot::{Parts, Snapshot},
};

const LOG: &str = "_delta_log";
/// So many commits are read one by one, at most.
const CHECKPOINT_EVERY: u64 = 10;
/// A table's own word on how long a removed file stays.
const RETENTION: &str = "delta.deletedFileRetentionDuration";
/// For so long a removed file stays, for those who read an older version. It is Delta's own default.
const TOMBSTONE_MILLIS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// Where one is. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Done,
    /// Somebody else has made this version.
    Lost,
}

/// What a log's folder holds.
#[derive(Default)]
struct Listing {
    newest: Option<u64>,
    checkpoints: Vec<(u64, Path)>,
}

#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

impl Table {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, folder: Path) -> Self {
        Self { store, folder }
    }

    pub(crate) fn name(&self) -> &str {
        self.folder.filename().unwrap_or_default()
    }

    /// The newest version; none if there is no table yet and nothing in its place.
    pub(crate) async fn load(&self) -> Result<Option<Snapshot>, DeltaError> {
        let hint = self.last_checkpoint().await?;
        let mut listing = self.list(hint).await?;
        if listing.checkpoints.is_empty() && hint.is_some() {
            listing = self.list(None).await?;
        }
        let Some(newest) = listing.newest else {
            return self.check_empty().await.map(|()| None);
        };
        let mut parts = Parts::default();
        let base = listing.checkpoints.into_iter().max_by_key(|(version, _)| *version);
        let mut next = 0;
        if let Some((version, path)) = base {
            let read = checkpoint::read(self.get(&path).await?);
            let lines =
                read.map_err(|why| DeltaError::Malformed { path: path.to_string(), why })?;
            lines.into_iter().for_each(|line| parts.apply(line));
            next = version + 1;
        }
        for version in next..=newest {
            let path = self.log_path(version);
            let bytes = self.get(&path).await.map_err(|error| match error {
                DeltaError::Storage { error: Error::NotFound { .. }, .. } => {
                    self.no_table(format!("version {version} of its log is missing"))
                }
                error => error,
            })?;
            parts.apply_commit(&path, &bytes)?;
        }
        parts.whole(&self.folder, newest).map(Some)
    }

    /// Takes in what others have committed since.
    pub(crate) async fn refresh(&self, snapshot: &mut Snapshot) -> Result<(), DeltaError> {
        // Where a table was removed, the next version would be the first of a log that begins nowhere.
        let current = self.log_path(snapshot.version);
        if self.find(&current).await?.is_none() {
            return Err(DeltaError::Gone { table: self.folder.to_string() });
        }
        let mut version = snapshot.version;
        let mut found = self.find(&self.log_path(version + 1)).await?;
        if found.is_none() {
            return Ok(());
        }
        let mut parts = Parts::from(snapshot.clone());
        while let Some(bytes) = found {
            version += 1;
            parts.apply_commit(&self.log_path(version), &bytes)?;
            found = self.find(&self.log_path(version + 1)).await?;
        }
        *snapshot = parts.whole(&self.folder, version)?;
        Ok(())
    }

    /// Makes this version, if nobody has.
    ///
    /// # Errors
    /// It may have been made all the same.
    pub(crate) async fn commit(
        &self,
        version: u64,
        actions: &[Action],
    ) -> Result<Committed, DeltaError> {
        let path = self.log_path(version);
        let bytes = to_lines(actions)
            .map_err(|error| DeltaError::Malformed { path: path.to_string(), why: error })?;
        match self.put(&path, bytes.into(), PutMode::Create).await {
            Ok(()) => Ok(Committed::Done),
            Err(DeltaError::Storage { error: Error::AlreadyExists { .. }, .. }) => {
                Ok(Committed::Lost)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts what the whole log says into one file, now and then, so that readers need not go through all of it.
    pub(crate) async fn checkpoint(
        &self,
        snapshot: &mut Snapshot,
        now: Timestamp,
    ) -> Result<(), DeltaError> {
        if snapshot.version == 0 || !snapshot.version.is_multiple_of(CHECKPOINT_EVERY) {
            return Ok(());
        }
        let oldest = now.as_micros() / 1_000 - TOMBSTONE_MILLIS;
        let is_old = |removed: &Remove| removed.deletion_timestamp.is_none_or(|at| at < oldest);
        // Who has said otherwise clears away by other means.
        if !snapshot.meta.configuration.contains_key(RETENTION) {
            for path in snapshot.removed.values().filter(|it| is_old(it)).map(|it| &it.path) {
                self.delete_data(path).await;
            }
        }
        snapshot.removed.retain(|_, removed| !is_old(removed));
        let path = self.log().join(format!("{:020}.checkpoint.parquet", snapshot.version));
        let (bytes, size) = checkpoint::write(snapshot)
            .map_err(|why| DeltaError::Malformed { path: path.to_string(), why })?;
        self.put(&path, bytes, PutMode::Overwrite).await?;
        let last = serde_json::json!({ "version": snapshot.version, "size": size });
        let path = self.log().join("_last_checkpoint");
        self.put(&path, last.to_string().into(), PutMode::Overwrite).await
    }

    /// A file that no version names yet.
    pub(crate) async fn put_data(&self, path: &str, bytes: Bytes) -> Result<(), DeltaError> {
        self.put(&self.data_path(path), bytes, PutMode::Overwrite).await
    }

    pub(crate) async fn get_data(&self, path: &str) -> Result<Bytes, DeltaError> {
        self.get(&self.data_path(path)).await
    }

    /// For what no version names that anybody may still read.
    pub(crate) async fn delete_data(&self, path: &str) {
        let path = self.data_path(path);
        if let Err(error) = self.store.delete(&path).await {
            tracing::debug!(%error, "{path} stays, though nobody will read it");
        }
    }

    async fn last_checkpoint(&self) -> Result<Option<u64>, DeltaError> {
        let bytes = self.find(&self.log().join("_last_checkpoint")).await?;
        // It only saves time.
        let last = bytes.and_then(|it| serde_json::from_slice::<LastCheckpoint>(&it).ok());
        Ok(last.map(|last| last.version))
    }

    async fn list(&self, from: Option<u64>) -> Result<Listing, DeltaError> {
        let log = self.log();
        let mut names = match from {
            // A checkpoint's name is longer, so it lies behind.
            Some(version) => {
                self.store.list_with_offset(Some(&log), &log.clone().join(format!("{version:020}")))
            }
            None => self.store.list(Some(&log)),
        };
        let mut listing = Listing::default();
        while let Some(found) =
            names.try_next().await.map_err(|error| storage("listing", &log, error))?
        {
            let name = found.location.filename().unwrap_or_default();
            let Some((digits, rest)) = name.split_once('.') else { continue };
            let version = (digits.len() == 20).then(|| digits.parse().ok()).flatten();
            match (version, rest) {
                (Some(version), "json") => listing.newest = listing.newest.max(Some(version)),
                (Some(version), "checkpoint.parquet") => {
                    listing.newest = listing.newest.max(Some(version));
                    listing.checkpoints.push((version, found.location));
                }
                _ => {}
            }
        }
        Ok(listing)
    }

    /// What an export has left that was killed before its first commit is in nobody's way. A log that is
    /// there now was made since, and will be met by whoever wants to make it.
    async fn check_empty(&self) -> Result<(), DeltaError> {
        let mut found = self.store.list(Some(&self.folder));
        while let Some(found) =
            found.try_next().await.map_err(|error| storage("listing", &self.folder, error))?
        {
            let rest = found.location.prefix_match(&self.folder);
            let first = rest.and_then(|mut parts| parts.next());
            let is_ours = |part: &str| part == LOG || part.starts_with("date=");
            if !first.is_some_and(|part| is_ours(part.as_ref())) {
                let why = format!("it holds {} and no {LOG}", found.location);
                return Err(self.no_table(why));
            }
        }
        Ok(())
    }

    fn no_table(&self, why: String) -> DeltaError {
        DeltaError::NoTable { table: self.folder.to_string(), why }
    }

    fn log(&self) -> Path {
        self.folder.clone().join(LOG)
    }

    fn log_path(&self, version: u64) -> Path {
        self.log().join(format!("{version:020}.json"))
    }

    fn data_path(&self, path: &str) -> Path {
        path.split('/').fold(self.folder.clone(), |folder, part| folder.join(part))
    }

    async fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<(), DeltaError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.store.put_opts(path, PutPayload::from(bytes), options).await;
        put.map(drop).map_err(|error| storage("writing", path, error))
    }

    async fn get(&self, path: &Path) -> Result<Bytes, DeltaError> {
        let get = async { self.store.get_opts(path, GetOptions::default()).await?.bytes().await };
        get.await.map_err(|error| storage("reading", path, error))
    }

    async fn find(&self, path: &Path) -> Result<Option<Bytes>, DeltaError> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(DeltaError::Storage { error: Error::NotFound { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
