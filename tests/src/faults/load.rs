//! What all clients share.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use infra::shutdown::Shutdown;
use serde_json::json;
use uuid::Uuid;

use super::history::History;
use super::shop::Shop;
use super::site::Site;
use crate::harness::client::{self, try_send};
use stack::plain_http;

/// API keys that the clients share: several, so that they lie in several shards.
pub(super) const KEYS: usize = 8;

pub(super) struct Load {
    pub(super) http: reqwest::Client,
    /// Where the nodes are found.
    pub(super) fronts: Vec<String>,
    pub(super) query_url: String,
    pub(super) keys: Vec<Key>,
    /// Signs what the provider tells by itself.
    pub(super) webhook_secret: String,
    pub(super) shop: Shop,
    pub(super) history: Arc<History>,
    /// No client begins anything more.
    pub(super) closing: Shutdown,
    /// No client waits any longer for what it has begun.
    pub(super) given_up: Shutdown,
}

/// An API key.
pub(super) struct Key {
    /// The names of its holder's commands are made with it.
    pub(super) id: Uuid,
    pub(super) secret: String,
}

impl Load {
    pub(super) async fn prepare(site: &Site, history: Arc<History>) -> Result<Self> {
        let fronts: Vec<String> =
            (1..=site.nodes.len()).map(|number| site.front(number)).collect::<Result<_>>()?;
        let query_url = site.service(stack::QUERY_API)?.url(&site.state);
        let operator = Some(site.secrets.operator_key.clone());
        let operator = client::Client::new(&fronts[0], &query_url, operator);
        let keys = try_join_all((0..KEYS).map(|_| Key::issue(&operator))).await?;
        Ok(Self {
            http: plain_http::client(),
            fronts,
            query_url,
            keys,
            webhook_secret: site.secrets.payment_webhook_secret.clone(),
            shop: Shop::new(),
            history,
            closing: Shutdown::new(),
            given_up: Shutdown::new(),
        })
    }
}

impl Key {
    async fn issue(operator: &client::Client) -> Result<Self> {
        let body = json!({"name": "faults", "roles": ["staff"]});
        let answer = try_send(operator.command(reqwest::Method::POST, "/v1/api-keys").json(&body));
        let answer = answer.await?;
        ensure!(answer.status == 201, "issuing a key: {}", answer.body);
        let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
        let id = text("id").and_then(|id| id.parse().ok()).context("the id of a key")?;
        Ok(Self { id, secret: text("key").context("a key")? })
    }
}
