//! Where a node keeps what it has made of the log, where copies of that are kept, and how often one is
//! made.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

use super::{
    Reader, bytes, duration,
    mistake::is_here,
    setting::{filled, within},
};

crate::settings! {
    /// The folder where the node keeps aggregates and outcomes. It may be lost: what it holds is
    /// read from the log again.
    PATH = "store.path", "the path of a folder, made if it is not there", Some(".tradewind/state");
    /// Memory for aggregates and parts of the store that were in use lately, of all shards
    /// together.
    CACHE_BYTES = "store.cache_bytes", "1MiB to 1024GiB, such as 512MiB", Some("256MiB");
    /// Where nodes leave copies of their stores, for nodes that have none. All nodes should see the
    /// same place.
    LOCATION = "snapshots.location",
        "the path of a folder, s3://bucket, s3://bucket/prefix, or none",
        Some(".tradewind/snapshots");
    /// A shard's store is copied when its log has grown by so many records since the last copy.
    RECORDS_MIN = "snapshots.records_min", "a number of at least 1", Some("1000000");
    /// The least time between two copies of one shard's store.
    INTERVAL_MIN = "snapshots.interval_min", "a duration such as 10m", Some("10m");
    /// Where the S3 service is reached, if it is not Amazon's.
    ENDPOINT = "snapshots.s3_endpoint", "a URL such as https://minio.internal:9000", None;
    /// The region of the bucket.
    REGION = "snapshots.s3_region", "a name such as eu-central-1", Some("us-east-1");
    /// Who signs in at the S3 service. Without it the machine's own role does.
    ACCESS_KEY_ID = "snapshots.s3_access_key_id",
        "a key id, together with snapshots.s3_secret_access_key", None;
    /// The secret of who signs in at the S3 service.
    SECRET_ACCESS_KEY = "snapshots.s3_secret_access_key",
        "a key, together with snapshots.s3_access_key_id", None;
}

#[derive(Clone, Debug)]
pub struct Store {
    pub path: PathBuf,
    pub cache_bytes: usize,
}

impl Store {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        crate::read_all! {
            path: reader.get_with(&PATH, |text| filled(text).map(PathBuf::from)),
            cache_bytes: reader.get_with(&CACHE_BYTES, |text| {
                let bytes = bytes(text).filter(|bytes| (1 << 20..=1 << 40).contains(bytes))?;
                usize::try_from(bytes).ok()
            }),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Snapshots {
    /// `None`: no copies are made or fetched.
    pub location: Option<SnapshotLocation>,
    pub records_min: u64,
    pub interval_min: Duration,
}

#[derive(Clone, Debug)]
pub enum SnapshotLocation {
    Folder(PathBuf),
    S3(S3),
}

#[derive(Clone, Debug)]
pub struct S3 {
    pub bucket: String,
    /// In front of the names of objects; may be empty.
    pub prefix: String,
    pub endpoint: Option<Url>,
    pub region: String,
    pub credentials: Option<S3Credentials>,
}

#[derive(Clone, Debug)]
pub struct S3Credentials {
    pub access_key_id: SecretString,
    pub secret_access_key: SecretString,
}

enum Place {
    Nowhere,
    Folder(PathBuf),
    Bucket { bucket: String, prefix: String },
}

impl Snapshots {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let place = reader.get_with(&LOCATION, place);
        let records_min = reader.get_with(&RECORDS_MIN, within(1..));
        let interval_min = reader.get_with(&INTERVAL_MIN, duration);
        let endpoint = reader.optional_with(&ENDPOINT, |text| {
            let url = Url::parse(text).ok()?;
            (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
        });
        let region = reader.get_with(&REGION, filled);
        let credentials = read_credentials(reader);
        if let (Some(Place::Bucket { .. }), Some(Some(endpoint))) = (&place, &endpoint)
            && endpoint.scheme() == "http"
            && !endpoint.host_str().is_some_and(is_here)
        {
            reader.expose(&ENDPOINT, "snapshots travel unencrypted to another machine");
        }
        let location = match place? {
            Place::Nowhere => None,
            Place::Folder(path) => Some(SnapshotLocation::Folder(path)),
            Place::Bucket { bucket, prefix } => Some(SnapshotLocation::S3(S3 {
                bucket,
                prefix,
                endpoint: endpoint?,
                region: region?,
                credentials: credentials?,
            })),
        };
        Some(Self { location, records_min: records_min?, interval_min: interval_min? })
    }
}

fn read_credentials(reader: &mut Reader<'_>) -> Option<Option<S3Credentials>> {
    let access_key_id = reader.optional_secret(&ACCESS_KEY_ID);
    let secret_access_key = reader.optional_secret(&SECRET_ACCESS_KEY);
    match (access_key_id?, secret_access_key?) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Some(Some(S3Credentials { access_key_id, secret_access_key }))
        }
        (None, None) => Some(None),
        (Some(_), None) => reader.missing(&SECRET_ACCESS_KEY),
        (None, Some(_)) => reader.missing(&ACCESS_KEY_ID),
    }
}

fn place(text: &str) -> Option<Place> {
    if text == "none" {
        return Some(Place::Nowhere);
    }
    let Some(rest) = text.strip_prefix("s3://") else {
        // Another scheme is a wish that cannot be granted, not the name of a folder.
        let is_path = !text.is_empty() && !text.contains("://");
        return is_path.then(|| Place::Folder(PathBuf::from(text)));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(allowed);
    is_bucket.then(|| Place::Bucket {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
    })
}
