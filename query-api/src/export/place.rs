//! Where tables are kept, and how far an export into them has got.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use infra::s3_signing::S3Signing;
use object_store::{
    BackoffConfig, Error, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
    aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{delta::storage, error::ExportError};

/// Those who read tables skip what begins so.
const FILE: &str = "_export.json";
/// Requests that may be sent again are, within this time.
const RETRIES: (usize, Duration) = (5, Duration::from_secs(60));

/// Where an export goes on. Beside the tables it lies, and it may be lost: then what they have is read
/// again and thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) log: String,
    pub(crate) query: String,
    pub(crate) cursor: String,
    /// Types of events that had a table of their own, if there were any.
    pub(crate) types: BTreeSet<String>,
    /// The versions that had all before the cursor.
    pub(crate) tables: BTreeMap<String, u64>,
}

/// The text names no place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidPlace {
    #[error("--to has to be file:///folder or s3://bucket/folder: {0}")]
    Form(String),
    #[error("{place} cannot be used: {source}")]
    Unusable { place: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// Storage, and the folder in it.
pub(crate) fn open(to: &str) -> Result<(Arc<dyn ObjectStore>, Path), InvalidPlace> {
    let url = Url::parse(to).map_err(|error| InvalidPlace::Form(format!("{to}: {error}")))?;
    let unusable = |source| InvalidPlace::Unusable { place: to.to_owned(), source };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidPlace::Form(to.to_owned()));
    }
    match url.scheme() {
        "file" => {
            let folder = url.to_file_path().map_err(|()| InvalidPlace::Form(to.to_owned()))?;
            std::fs::create_dir_all(&folder).map_err(|error| unusable(error.into()))?;
            // A commit that was acknowledged is there after a power cut, too.
            let store = LocalFileSystem::new_with_prefix(&folder)
                .map_err(|error| unusable(error.into()))?
                .with_fsync(true);
            Ok((Arc::new(store), Path::default()))
        }
        "s3" | "s3a" => {
            let bucket = url.host_str().filter(|host| !host.is_empty());
            let bucket = bucket.ok_or_else(|| InvalidPlace::Form(to.to_owned()))?;
            let folder = Path::from_url_path(url.path()).map_err(|error| unusable(error.into()))?;
            let store = bucket_of(AmazonS3Builder::from_env(), bucket)
                .map_err(|error| unusable(error.into()))?;
            Ok((store, folder))
        }
        _ => Err(InvalidPlace::Form(to.to_owned())),
    }
}

/// Credentials, region and endpoint are the builder's, which takes them from the environment by the names that
/// AWS' own tools know.
pub(super) fn bucket_of(
    builder: AmazonS3Builder,
    name: &str,
) -> Result<Arc<dyn ObjectStore>, Error> {
    use object_store::aws::AmazonS3ConfigKey::{Endpoint, S3Endpoint};
    let (max_retries, retry_timeout) = RETRIES;
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries, retry_timeout };
    let endpoints = [S3Endpoint, Endpoint].map(|key| builder.get_config_value(&key));
    // Who names an endpoint without TLS means it.
    let is_plain = endpoints.iter().flatten().any(|endpoint| endpoint.starts_with("http://"));
    let builder = builder
        .with_crypto_provider(Arc::new(S3Signing))
        .with_bucket_name(name)
        .with_allow_http(is_plain)
        .with_retry(retry);
    Ok(Arc::new(builder.build()?))
}

impl Kept {
    pub(crate) fn path(root: &Path) -> Path {
        root.clone().join(FILE)
    }

    pub(crate) async fn load(
        store: &Arc<dyn ObjectStore>,
        root: &Path,
    ) -> Result<Option<Self>, ExportError> {
        let path = Self::path(root);
        let read = async { store.get(&path).await?.bytes().await };
        let bytes = match read.await {
            Ok(bytes) => bytes,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(storage("reading", &path, error).into()),
        };
        let kept = serde_json::from_slice(&bytes).map_err(|error| ExportError::NoPlace {
            place: path.to_string(),
            why: error.to_string(),
        })?;
        Ok(Some(kept))
    }

    pub(crate) async fn store(
        &self,
        store: &Arc<dyn ObjectStore>,
        root: &Path,
    ) -> Result<(), ExportError> {
        let path = Self::path(root);
        let text = serde_json::to_vec(self).map_err(|error| ExportError::NoPlace {
            place: path.to_string(),
            why: error.to_string(),
        })?;
        let put = store.put(&path, PutPayload::from(text)).await;
        put.map(drop).map_err(|error| storage("writing", &path, error).into())
    }
}
