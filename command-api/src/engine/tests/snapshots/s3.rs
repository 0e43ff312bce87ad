//! The same over what speaks like S3: signed requests, multipart uploads, lists and ranges.

use std::{convert::Infallible, fs};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::IntoResponse};
use infra::{
    config::{S3, S3Credentials, SnapshotLocation, Snapshots},
    task::Task,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};

use super::*;

const BUCKET: &str = "snapshots";

/// An S3 service over a folder, for as long as the task is kept.
async fn serve(folder: &TempDir) -> (String, Task<()>) {
    fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
    builder.set_auth(SimpleAuth::from_single("who", "hunter2"));
    let service = builder.build();
    let service = service_fn(move |request: Request| {
        let service = service.clone();
        async move {
            Ok::<_, Infallible>(match service.oneshot(request).await {
                Ok(response) => response.map(Body::new),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            })
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback_service(service);
    (url, task::spawn("s3", async { axum::serve(listener, router).await.unwrap() }))
}

fn settings(endpoint: &str, secret: &str) -> Snapshots {
    let location = SnapshotLocation::S3(S3 {
        bucket: BUCKET.to_owned(),
        prefix: "live".to_owned(),
        endpoint: Some(endpoint.parse().unwrap()),
        region: "us-east-1".to_owned(),
        credentials: Some(S3Credentials {
            access_key_id: "who".into(),
            secret_access_key: secret.into(),
        }),
    });
    Snapshots { location: Some(location), records_min: RECORDS_MIN, interval_min: Duration::ZERO }
}

#[tokio::test]
async fn a_new_node_takes_from_a_bucket_what_the_owner_has_left_there() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _serving) = serve(&folder).await;
    let open = |secret| SnapshotRepository::open(&settings(&url, secret)).unwrap();
    let mut site = Site::new();
    let stores = site.stores(open("hunter2"));
    let first = Running::with(&site.log, &stores);
    for round in 0..3 {
        receive_all(&first, round * 20 + 1..=round * 20 + 20).await;
        let repository = open("hunter2").unwrap();
        eventually("a snapshot in the bucket", || async {
            let listed = repository.list(ONLY).await.unwrap();
            let wanted = usize::try_from(round + 1).unwrap().min(2);
            (listed.len() == wanted).then_some(())
        })
        .await;
    }
    first.stop().await;
    let below = folder.path().join(BUCKET).join("live").join("shard-0");
    assert!(below.is_dir(), "the prefix is in front of all names");
    site.watched.read_from();

    let stores = site.stores(open("hunter2"));
    let second = Running::with(&site.log, &stores);
    assert_eq!(on_hand(&second).await, 60);
    second.stop().await;
    assert!(site.watched.read_from().is_some_and(|from| from >= 10));

    let stores = site.stores(open("wrong"));
    let stranger = Running::with(&site.log, &stores);
    assert_eq!(on_hand(&stranger).await, 60);
    stranger.stop().await;
    assert_eq!(site.watched.read_from(), Some(0), "who is not let in reads the log");
}
