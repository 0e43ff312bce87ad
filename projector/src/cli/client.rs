//! What the commands ask of a projector.

use anyhow::{Result, ensure};
use infra::operator::{Operator, Service};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::{status::Status, store::verifications::Verification};

pub(super) const PROJECTOR: Service = Service {
    name: "the projector",
    tells: "projector status",
    // Behind is what a version may be for good; the operator decides whether to ask again.
    for_good: &["version.not_ready"],
};

pub(super) async fn status(client: &Operator) -> Result<Status> {
    Ok(client.ask(Method::GET, "/v1/admin/status", None).await?)
}

pub(super) async fn verification(client: &Operator, id: Uuid) -> Result<Verification> {
    Ok(client.ask(Method::GET, &format!("/v1/admin/verifications/{id}"), None).await?)
}

/// `rebuild`, `switch` and the like. The name goes into the path as it is.
pub(super) async fn act<T: DeserializeOwned>(
    client: &Operator,
    name: &str,
    action: &str,
    body: &Value,
) -> Result<T> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    ensure!(!name.is_empty() && name.bytes().all(is_plain), "there is no projection {name:?}");
    let path = format!("/v1/admin/projections/{name}/{action}");
    Ok(client.ask(Method::POST, &path, Some(body)).await?)
}
