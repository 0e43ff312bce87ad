//! Orders while many payments hang at the provider, against orders without.
//!
//! Goes through the running stack, as guests do. An order's time is that from its checkout to the
//! query that shows it as confirmed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::figure::{Figure, percentile};
use crate::import::target::Target;
use stack::plain_http;

const HANGING: usize = 300;
const ORDERS: usize = 200;
/// Orders under way at once.
const BUYERS: usize = 8;
/// The most that the p99 may grow by.
const AIM: f64 = 1.5;
const LOOK_EVERY: Duration = Duration::from_millis(2);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Payments that hang expire after a minute.
const HANG_MAX: Duration = Duration::from_secs(120);

pub(super) async fn run(rounds: usize, target: &Target) -> Result<()> {
    let shop = Shop::open(target).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(percentile(&shop.orders().await?, 99));
        let hanging = try_join_all((0..HANGING).map(|_| shop.check_out("tok_timeout"))).await?;
        beside.push(percentile(&shop.orders().await?, 99));
        // The next round begins without them.
        for order_id in hanging {
            let status = shop.settled(&order_id, HANG_MAX).await?;
            ensure!(status == "rejected", "a payment that hangs: its order is {status}");
        }
    }
    let figure = Figure::compared("hanging_payments_order_p99", &beside, &alone, "ms");
    figure.print()?;
    Figure::aimed("hanging_payments_order_p99_ratio", figure.ratio(), AIM, "1", rounds).print()
}

struct Shop<'t> {
    target: &'t Target,
    http: reqwest::Client,
    sku: String,
}

impl<'t> Shop<'t> {
    /// With a product that does not run out.
    async fn open(target: &'t Target) -> Result<Self> {
        let http = plain_http::builder().timeout(WAIT_MAX).build()?;
        let sku = format!("hanging-{}", Uuid::now_v7());
        let shop = Self { target, http, sku };
        let price = json!({"amount": 250, "currency": "USD"});
        let product = json!({"sku": shop.sku, "name": "Tea", "price": price});
        let created = shop.staff("/v1/products", &product).await?;
        let id = created["id"].as_str().context("the id of a product")?;
        shop.staff(&format!("/v1/products/{id}/publish"), &json!({})).await?;
        let stock = format!("/v1/stock/{}/receive", shop.sku);
        shop.staff(&stock, &json!({"quantity": 1_000_000})).await?;
        Ok(shop)
    }

    async fn staff(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.http.post(format!("{}{path}", self.target.command_url));
        answer(request.bearer_auth(&self.target.operator_key).json(body)).await
    }

    /// Milliseconds of each.
    async fn orders(&self) -> Result<Vec<f64>> {
        let orders = (0..ORDERS).map(|_| self.order());
        stream::iter(orders).buffer_unordered(BUYERS).try_collect().await
    }

    async fn order(&self) -> Result<f64> {
        let began = Instant::now();
        let order_id = self.check_out("tok_ok").await?;
        let status = self.settled(&order_id, WAIT_MAX).await?;
        ensure!(status == "confirmed", "an order is {status}");
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// As a guest; the order's id.
    async fn check_out(&self, method_token: &str) -> Result<String> {
        let url = |path: &str| format!("{}{path}", self.target.command_url);
        let lines = json!([{"sku": self.sku, "quantity": 1}]);
        let body = json!({"currency": "USD", "lines": lines});
        let cart = answer(self.http.post(url("/v1/carts")).json(&body)).await?;
        let text = |name: &str| cart[name].as_str().context("a cart's id and token");
        let checkout = json!({
            "email": "ada@example.com",
            "shipping_address": {
                "name": "Ada", "line1": "1 Main Street", "city": "Springfield",
                "postal_code": "62701", "country": "US",
            },
            "payment": {"method_token": method_token},
        });
        let request = self.http.post(url(&format!("/v1/carts/{}/checkout", text("id")?)));
        let request = request.header("tradewind-cart-token", text("cart_token")?).json(&checkout);
        let order_id = answer(request).await?["order_id"].as_str().map(str::to_owned);
        order_id.context("the id of an order")
    }

    /// The status of an order that is no longer pending.
    async fn settled(&self, order_id: &str, within: Duration) -> Result<String> {
        let deadline = Instant::now() + within;
        loop {
            let url = format!("{}/v1/orders/{order_id}", self.target.query_url);
            let request = self.http.get(url).bearer_auth(&self.target.operator_key);
            let seen = request.send().await?;
            if seen.status() == StatusCode::OK {
                let order: Value = seen.json().await?;
                let status = order["status"].as_str().context("an order's status")?;
                if status != "pending" {
                    return Ok(status.to_owned());
                }
            }
            ensure!(Instant::now() < deadline, "order {order_id} is still pending");
            sleep_until(Instant::now() + LOOK_EVERY).await;
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    let answer = request.send().await?;
    let (status, body) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{status}: {body}");
    Ok(serde_json::from_str(&body)?)
}
