//! Where copies of state stores are kept, and how often one is made.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

use crate::config::{Reader, Setting, duration, exposure::is_here};

const LOCATION: Setting = Setting {
    key: "snapshots.location",
    doc: "Where nodes leave copies of their stores, for nodes that have none. All nodes should see \
          the same place.",
    allowed: "the path of a folder, s3://bucket, s3://bucket/prefix, or none",
    default: Some(".tradewind/snapshots"),
};
const RECORDS_MIN: Setting = Setting {
    key: "snapshots.records_min",
    doc: "A shard's store is copied when its log has grown by so many records since the last copy.",
    allowed: "a number of at least 1",
    default: Some("1000000"),
};
const INTERVAL_MIN: Setting = Setting {
    key: "snapshots.interval_min",
    doc: "The least time between two copies of one shard's store.",
    allowed: "a duration such as 10m",
    default: Some("10m"),
};
const ENDPOINT: Setting = Setting {
    key: "snapshots.s3_endpoint",
    doc: "Where the S3 service is reached, if it is not Amazon's.",
    allowed: "a URL such as https://minio.internal:9000",
    default: None,
};
const REGION: Setting = Setting {
    key: "snapshots.s3_region",
    doc: "The region of the bucket.",
    allowed: "a name such as eu-central-1",
    default: Some("us-east-1"),
};
const ACCESS_KEY_ID: Setting = Setting {
    key: "snapshots.s3_access_key_id",
    doc: "Who signs in at the S3 service. Without it the machine's own role does.",
    allowed: "a key id, together with snapshots.s3_secret_access_key",
    default: None,
};
const SECRET_ACCESS_KEY: Setting = Setting {
    key: "snapshots.s3_secret_access_key",
    doc: "The secret of who signs in at the S3 service.",
    allowed: "a key, together with snapshots.s3_access_key_id",
    default: None,
};

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
        let positive = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let records_min = reader.get_with(&RECORDS_MIN, positive);
        let interval_min = reader.get_with(&INTERVAL_MIN, duration);
        let endpoint = reader.optional_with(&ENDPOINT, |text| {
            let url = Url::parse(text).ok()?;
            (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
        });
        let region = reader.get_with(&REGION, |text| (!text.is_empty()).then(|| text.to_owned()));
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
