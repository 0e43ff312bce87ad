//! Snapshots: copies of shards' stores in object storage, for nodes that have none.
//!
//! The owner of a shard leaves one now and then ([`upload`]); a node without a usable store of a
//! shard that it is to serve or to follow takes the newest ([`fetch`]) and replays only what came
//! after it. A [`SnapshotRepository`] is the place, [`format`] has the bytes.
//!
//! Each shard has a part of the place for itself. An object's name tells people and the next upload what is
//! in it; whoever reads the object goes by its head. Which one is newer is told by the storage's own clock:
//! offsets of a log that was made anew start again.
//!
//! A snapshot is as little a second truth as a store is. What is wrong with one, or doubtful, ends in
//! taking the next older one, and then in reading the log from its beginning.
//!
//! **Invariant:** what a snapshot held is in a store only after all its MACs have been seen to match,
//! and what is in place then is looked at as any store that was found at the start.

mod fetch;
mod format;
#[cfg(test)]
mod tests;
mod upload;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use domain::{shard::ShardId, timestamp::Timestamp};
use futures_util::TryStreamExt;
use infra::{
    config::{self, SnapshotLocation},
    folder::make_private,
    log::{BoxError, LogId, Offset},
    membership::seal::PeerKey,
    s3_signing::S3Signing,
};
use object_store::{
    BackoffConfig, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path, prefix::PrefixStore,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::store::Head;
pub(super) use fetch::fetch;
pub(super) use format::Rows;
pub(super) use upload::Uploader;

/// How long the storage may take to tell what is there, or to show a beginning.
const ASK_WAIT_MAX: Duration = Duration::from_secs(10);

/// Requests that may be sent again are, within this time.
const RETRIES: (usize, Duration) = (5, Duration::from_secs(60));

/// Objects of one shard that are looked at; there are two or three.
const LISTED_MAX: usize = 1_000;

/// Snapshots that a node makes and fetches at once; each takes a blocking thread and some blocks of
/// memory. More wait.
const UPLOADS_MAX: usize = 1;
const FETCHES_MAX: usize = 4;

/// Object storage, and when it is to be written to.
pub struct SnapshotRepository {
    storage: Arc<dyn ObjectStore>,
    records_min: u64,
    interval_min: Duration,
    /// Without a secret its MACs tell damage, and nothing of who has made a snapshot.
    key: PeerKey,
    uploads: Semaphore,
    fetches: Semaphore,
}

/// The settings describe no place that can be used.
#[derive(Debug, thiserror::Error)]
#[error("snapshots cannot be kept in {place}")]
pub struct SnapshotRepositoryError {
    place: String,
    #[source]
    source: BoxError,
}

/// A snapshot, as its name and the storage tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) path: Path,
    stored_at: Timestamp,
}

/// What is copied by whom: the parts of an object's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    encoding: u32,
    log_id: LogId,
    next_offset: Offset,
}

impl SnapshotRepository {
    /// None if the settings say so.
    ///
    /// # Errors
    /// The folder cannot be made, or what is set for S3 does not fit together.
    pub fn open(settings: &config::Snapshots) -> Result<Option<Self>, SnapshotRepositoryError> {
        let Some(location) = &settings.location else { return Ok(None) };
        let storage = match location {
            SnapshotLocation::Folder(path) => folder(path).map_err(|source| {
                SnapshotRepositoryError { place: path.display().to_string(), source }
            }),
            SnapshotLocation::S3(s3) => bucket(s3).map_err(|source| SnapshotRepositoryError {
                place: format!("bucket {}", s3.bucket),
                source,
            }),
        };
        Ok(Some(Self::over(storage?, settings.records_min, settings.interval_min)))
    }

    pub(super) fn over(
        storage: Arc<dyn ObjectStore>,
        records_min: u64,
        interval_min: Duration,
    ) -> Self {
        let (uploads, fetches) = (Semaphore::new(UPLOADS_MAX), Semaphore::new(FETCHES_MAX));
        let key = PeerKey::new(&SecretString::default());
        Self { storage, records_min, interval_min, key, uploads, fetches }
    }

    /// Under the secret of the nodes that are to believe each other's snapshots.
    #[must_use]
    pub fn with_key(self, key: PeerKey) -> Self {
        Self { key, ..self }
    }

    /// A shard's snapshots, the newest first.
    pub(super) async fn list(&self, shard: ShardId) -> Result<Vec<Stored>, BoxError> {
        let listed = self.storage.list(Some(&folder_of(shard)));
        let found = listed.try_fold(Vec::new(), |mut found, object| async move {
            if found.len() < LISTED_MAX && object.location.as_ref().ends_with(SUFFIX) {
                let stored_at = object.last_modified.into();
                found.push(Stored { path: object.location, stored_at });
            }
            Ok(found)
        });
        let mut found = tokio::time::timeout(ASK_WAIT_MAX, found).await??;
        found.sort_by(|a, b| (b.stored_at, &b.path).cmp(&(a.stored_at, &a.path)));
        Ok(found)
    }
}

const SUFFIX: &str = ".snapshot";

fn folder_of(shard: ShardId) -> Path {
    Path::from(format!("shard-{shard}"))
}

impl Name {
    /// None for the copy of a log that has no claim, which there is not.
    fn of(head: &Head) -> Option<Self> {
        let Head { header, checkpoint } = head;
        Some(Self {
            encoding: header.encoding,
            log_id: checkpoint.log_id?,
            next_offset: checkpoint.next_offset,
        })
    }

    fn path(self, shard: ShardId) -> Path {
        folder_of(shard).join(format!("{self}{SUFFIX}"))
    }

    /// None if the object was not named by this release.
    fn parse(path: &Path) -> Option<Self> {
        let name = path.filename()?.strip_suffix(SUFFIX)?;
        let mut parts = name.split('-');
        let name = Self {
            encoding: parts.next()?.strip_prefix('e')?.parse().ok()?,
            log_id: parts.next()?.parse().ok()?,
            next_offset: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(name)
    }

    /// Whether both are copies of one log in one encoding.
    fn is_like(self, other: Self) -> bool {
        Self { next_offset: 0, ..self } == Self { next_offset: 0, ..other }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoding, log_id, next_offset } = self;
        write!(f, "e{encoding}-{log_id}-{next_offset:020}")
    }
}

fn folder(path: &PathBuf) -> Result<Arc<dyn ObjectStore>, BoxError> {
    make_private(path)?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(path)?))
}

fn bucket(settings: &config::S3) -> Result<Arc<dyn ObjectStore>, BoxError> {
    let (max_retries, retry_timeout) = RETRIES;
    let backoff = BackoffConfig::default();
    let mut builder = AmazonS3Builder::new()
        .with_crypto_provider(Arc::new(S3Signing))
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_retry(RetryConfig { backoff, max_retries, retry_timeout });
    if let Some(endpoint) = &settings.endpoint {
        let endpoint_text = endpoint.as_str().trim_end_matches('/');
        builder = builder.with_endpoint(endpoint_text).with_allow_http(endpoint.scheme() == "http");
    }
    if let Some(credentials) = &settings.credentials {
        builder = builder
            .with_access_key_id(credentials.access_key_id.expose_secret())
            .with_secret_access_key(credentials.secret_access_key.expose_secret());
    }
    let storage = builder.build()?;
    Ok(if settings.prefix.is_empty() {
        Arc::new(storage)
    } else {
        Arc::new(PrefixStore::new(storage, settings.prefix.as_str()))
    })
}
