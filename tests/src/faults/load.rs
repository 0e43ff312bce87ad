//! Many clients at once, for as long as faults are made, and until each command has its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use infra::task::{self, Task};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::client::Client;
use super::history::History;
use super::shop::Shop;
use super::site::Site;
use crate::eventually::wait_for;
use crate::harness::client::{self, try_send};
use crate::plain_http;

const CLIENTS: usize = 64;
/// API keys that the clients share: several, so that they lie in several shards.
const KEYS: usize = 8;
/// How long clients go on to ask for the answers of what they have begun.
const CLOSING_WAIT_MAX: Duration = Duration::from_secs(60);
const END_WAIT_MAX: Duration = Duration::from_secs(10);
const KEY_WAIT_MAX: Duration = Duration::from_secs(20);

/// What all clients share.
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
    closing: AtomicBool,
    given_up: AtomicBool,
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
        let query_url = site.service(crate::stack::QUERY_API)?.url(&site.state);
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
            closing: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
        })
    }

    /// No client begins anything more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// No client waits any longer for what it has begun.
    pub(super) fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Fills the shop, and waits until a query shows it.
    async fn set_up(self: &Arc<Self>, seed: u64) -> Result<()> {
        let parts = self.shop.products().chunks(self.shop.products().len().div_ceil(KEYS));
        join_all(parts.enumerate().map(|(number, products)| {
            let mut client = Client::new(number, seed, Arc::clone(self));
            async move { client.set_up(products).await }
        }))
        .await;
        for (key, product) in self.keys.iter().zip(self.shop.products().iter().cycle()) {
            let url = format!("{}/v1/stock/{}", self.query_url, product.sku);
            wait_for("the query API to know keys and products", KEY_WAIT_MAX, || async {
                let request = self.http.get(&url).bearer_auth(&key.secret);
                match try_send(request).await {
                    Ok(answer) if answer.status == 200 => std::ops::ControlFlow::Break(Ok(())),
                    other => std::ops::ControlFlow::Continue(format!("{other:?}")),
                }
            })
            .await?;
        }
        Ok(())
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

/// The clients at work.
pub(super) struct Crowd {
    load: Arc<Load>,
    clients: Vec<Task<()>>,
}

impl Crowd {
    /// Fills the shop and lets the clients in.
    pub(super) async fn enter(load: Load, seed: u64) -> Result<Self> {
        let load = Arc::new(load);
        load.set_up(seed).await?;
        let client = |number| Client::new(number, seed, Arc::clone(&load));
        let run = |number| task::spawn("client", client(number).run());
        let clients = (KEYS..KEYS + CLIENTS).map(run).collect();
        Ok(Self { load, clients })
    }

    /// Returns when every client has the answers to what it began, or has long waited in vain.
    pub(super) async fn leave(self) -> Result<()> {
        self.load.closing.store(true, Ordering::Relaxed);
        let mut leaving = join_all(self.clients);
        if let Ok(left) = timeout(CLOSING_WAIT_MAX, &mut leaving).await {
            return Ok(left.into_iter().collect::<Result<_, _>>()?);
        }
        self.load.given_up.store(true, Ordering::Relaxed);
        let left = timeout(END_WAIT_MAX, leaving).await.context("a client does not leave")?;
        Ok(left.into_iter().collect::<Result<_, _>>()?)
    }
}
