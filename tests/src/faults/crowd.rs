//! Many clients at once, for as long as faults are made, and until each command has its answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use infra::task::{self, Task};
use tokio::time::timeout;

use super::client::Client;
use super::load::{KEYS, Load};
use crate::harness::client::try_send;
use stack::eventually::wait_for;

const CLIENTS: usize = 64;
/// How long clients go on to ask for the answers of what they have begun.
const CLOSING_WAIT_MAX: Duration = Duration::from_secs(60);
const END_WAIT_MAX: Duration = Duration::from_secs(10);
const KEY_WAIT_MAX: Duration = Duration::from_secs(20);

/// The clients at work.
pub(super) struct Crowd {
    load: Arc<Load>,
    clients: Vec<Task<()>>,
}

impl Crowd {
    /// Fills the shop and lets the clients in.
    pub(super) async fn enter(load: Load, seed: u64) -> Result<Self> {
        let load = Arc::new(load);
        set_up(&load, seed).await?;
        let client = |number| Client::new(number, seed, Arc::clone(&load));
        let run = |number| task::spawn("client", client(number).run());
        let clients = (KEYS..KEYS + CLIENTS).map(run).collect();
        Ok(Self { load, clients })
    }

    /// Returns when every client has the answers to what it began, or has long waited in vain.
    pub(super) async fn leave(self) -> Result<()> {
        self.load.closing.request();
        let mut leaving = join_all(self.clients);
        if let Ok(left) = timeout(CLOSING_WAIT_MAX, &mut leaving).await {
            return Ok(left.into_iter().collect::<Result<_, _>>()?);
        }
        self.load.given_up.request();
        let left = timeout(END_WAIT_MAX, leaving).await.context("a client does not leave")?;
        Ok(left.into_iter().collect::<Result<_, _>>()?)
    }
}

/// Fills the shop, and waits until a query shows it.
async fn set_up(load: &Arc<Load>, seed: u64) -> Result<()> {
    let parts = load.shop.products().chunks(load.shop.products().len().div_ceil(KEYS));
    join_all(parts.enumerate().map(|(number, products)| {
        let mut client = Client::new(number, seed, Arc::clone(load));
        async move { client.set_up(products).await }
    }))
    .await;
    for (key, product) in load.keys.iter().zip(load.shop.products().iter().cycle()) {
        let url = format!("{}/v1/stock/{}", load.query_url, product.sku);
        wait_for("the query API to know keys and products", KEY_WAIT_MAX, || async {
            let request = load.http.get(&url).bearer_auth(&key.secret);
            match try_send(request).await {
                Ok(answer) if answer.status == 200 => std::ops::ControlFlow::Break(Ok(())),
                other => std::ops::ControlFlow::Continue(format!("{other:?}")),
            }
        })
        .await?;
    }
    Ok(())
}
