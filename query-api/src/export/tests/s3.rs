//! The same over what speaks like S3.

use std::{convert::Infallible, fs};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::IntoResponse};
use infra::task::{self, Task};
use object_store::aws::AmazonS3Builder;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Mutex};
use tower::{ServiceExt, service_fn};

use super::*;

/// An S3 service over a folder, for as long as the task is kept.
async fn serve(folder: &TempDir) -> (String, Task<()>) {
    fs::create_dir(folder.path().join("bucket")).unwrap();
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
    builder.set_auth(SimpleAuth::from_single("who", "hunter2"));
    let service = builder.build();
    // S3 makes an object under a condition at once; this one looks first, and then writes.
    let one_by_one = Arc::new(Mutex::new(()));
    let service = service_fn(move |request: Request| {
        let (service, one_by_one) = (service.clone(), Arc::clone(&one_by_one));
        async move {
            let is_conditional = request.headers().contains_key("if-none-match");
            let _turn = if is_conditional { Some(one_by_one.lock().await) } else { None };
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

fn bucket(url: &str, secret: &str) -> Arc<dyn ObjectStore> {
    let builder = AmazonS3Builder::new()
        .with_endpoint(url)
        .with_region("us-east-1")
        .with_access_key_id("who")
        .with_secret_access_key(secret);
    place::bucket_of(builder, "bucket").unwrap()
}

#[tokio::test]
async fn tables_in_a_bucket_are_made_once_too() {
    let (folder, fake) = (tempfile::tempdir().unwrap(), orders_and_carts(40));
    let (url, _serving) = serve(&folder).await;
    let (one, two) = tokio::join!(
        fake.export(bucket(&url, "hunter2"), catalogue()),
        fake.export(bucket(&url, "hunter2"), catalogue()),
    );
    let rows = one.unwrap().written().rows + two.unwrap().written().rows;
    assert_eq!(rows, fake.lines().count() as u64);
    check(&bucket(&url, "hunter2"), &fake).await;

    let (told, is_usage) = refusal(&bucket(&url, "wrong"), &fake).await;
    assert!(told.contains("lake") && told.contains("403"), "{told}");
    assert!(!is_usage);
}

#[tokio::test]
async fn a_folder_of_this_machine_does_as_well() {
    let (folder, fake) = (tempfile::tempdir().unwrap(), orders_and_carts(40));
    let url = url::Url::from_file_path(folder.path().join("here")).unwrap();
    let (store, root) = place::open(url.as_str()).unwrap();
    assert_eq!(root, Path::default());
    let (one, two) = tokio::join!(
        fake.export(Arc::clone(&store), catalogue()),
        fake.export(Arc::clone(&store), catalogue()),
    );
    let rows = one.unwrap().written().rows + two.unwrap().written().rows;
    assert_eq!(rows, fake.lines().count() as u64);
    check(&store, &fake).await;
    for bad in ["lake", "file://host/lake", "http://a/b", "s3://", "s3:///x", "file:///a?b"] {
        assert!(place::open(bad).is_err(), "{bad}");
    }
}
