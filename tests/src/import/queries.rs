//! The questions to the query API. One that is away is waited for.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use domain::{id::OrderId, money::Money, timestamp::Timestamp};
use infra::retry::retry;
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    gateway::{OUTAGE_MAX, RETRY, client, is_temporary, root_cause},
    target::Target,
};

/// The largest page that the API gives.
const PAGE_ROWS: usize = 200;

pub(crate) struct Queries {
    http: reqwest::Client,
    url: Url,
    key: String,
}

/// The days, both included, that the chosen baskets cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) first: NaiveDate,
    pub(crate) last: NaiveDate,
}

/// An order as the query API shows it; what is not compared is left out.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OrderRead {
    pub(crate) id: OrderId,
    pub(crate) status: String,
    pub(crate) channel: String,
    #[serde(default)]
    pub(crate) customer_reference: Option<String>,
    pub(crate) placed_at: Timestamp,
    pub(crate) lines: Vec<LineRead>,
    pub(crate) totals: TotalsRead,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LineRead {
    #[serde(default)]
    pub(crate) department: Option<String>,
    pub(crate) quantity: u64,
    pub(crate) total: Money,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TotalsRead {
    pub(crate) total: Money,
}

/// A row of the sales report; what it was not grouped by is absent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SalesRow {
    #[serde(default)]
    pub(crate) department: Option<String>,
    #[serde(default)]
    pub(crate) week: Option<String>,
    pub(crate) orders: u64,
    pub(crate) units: u64,
    pub(crate) revenue: Money,
}

#[derive(Deserialize)]
struct ProductRead {
    sku: String,
}

/// How far a projection has applied a shard.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) projection: String,
    pub(crate) shard: u32,
    pub(crate) next_offset: u64,
    /// Age of the oldest record that waits.
    pub(crate) lag_seconds: f64,
    /// How long ago it held all that the log held then, as far as is known.
    #[serde(default)]
    pub(crate) level_seconds: Option<f64>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    #[serde(default)]
    next: Option<String>,
}

/// Why there is no answer.
struct Failure {
    what: String,
    /// Another try can help.
    is_temporary: bool,
}

impl Queries {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        let url = Url::parse(&target.query_url).context("the URL of the query API")?;
        Ok(Self { http: client()?, url, key: target.operator_key.clone() })
    }

    /// All orders at the till that were placed on these days, whoever sent them.
    pub(crate) async fn orders(&self, days: Days) -> Result<Vec<OrderRead>> {
        // Both ends are excluded by the API.
        let eve = days.first.pred_opt().context("a day before the first")?;
        let morrow = days.last.succ_opt().context("a day after the last")?;
        let after = format!("{eve}T23:59:59.999999Z");
        let before = format!("{morrow}T00:00:00Z");
        let query = [("placed_after", after.as_str()), ("placed_before", before.as_str())];
        let mut orders: Vec<OrderRead> = self.pages("v1/orders", &query).await?;
        orders.retain(|order| order.channel == "pos");
        Ok(orders)
    }

    /// The sales report of the till for these days.
    pub(crate) async fn sales(&self, days: Days, group_by: &str) -> Result<Vec<SalesRow>> {
        let (from, to) = (days.first.to_string(), days.last.to_string());
        let mut url = self.url.join("v1/reports/sales")?;
        url.query_pairs_mut()
            .extend_pairs([("channel", "pos"), ("from", &from), ("to", &to)])
            .append_pair("group_by", group_by);
        let report: Page<SalesRow> = self.get(url).await?;
        Ok(report.items)
    }

    /// How many orders at the till of these days are sold.
    pub(crate) async fn sold(&self, days: Days) -> Result<u64> {
        Ok(self.sales(days, "").await?.iter().map(|row| row.orders).sum())
    }

    /// The SKUs of all products that are for sale.
    pub(crate) async fn skus(&self) -> Result<HashSet<String>> {
        let products: Vec<ProductRead> = self.pages("v1/products", &[]).await?;
        Ok(products.into_iter().map(|product| product.sku).collect())
    }

    /// How far each projection is.
    pub(crate) async fn positions(&self) -> Result<Vec<Place>> {
        let page: Page<Place> = self.get(self.url.join("v1/positions")?).await?;
        Ok(page.items)
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>> {
        let limit = PAGE_ROWS.to_string();
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut url = self.url.join(path)?;
            url.query_pairs_mut().extend_pairs(query).append_pair("limit", &limit);
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let page: Page<T> = self.get(url).await?;
            rows.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(rows),
            }
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T> {
        let asking =
            retry(RETRY, |failure: &Failure| failure.is_temporary, || self.ask(url.clone()));
        let body = match timeout(OUTAGE_MAX, asking).await {
            Ok(Ok(body)) => body,
            Ok(Err(failure)) => bail!("{url} answers {}", failure.what),
            Err(_elapsed) => bail!("{url} does not answer"),
        };
        serde_json::from_slice(&body).with_context(|| format!("the answer of {url}"))
    }

    async fn ask(&self, url: Url) -> Result<Vec<u8>, Failure> {
        let away = |error: reqwest::Error| Failure { what: root_cause(&error), is_temporary: true };
        let response = self.http.get(url).bearer_auth(&self.key).send().await.map_err(away)?;
        let status = response.status();
        let body = response.bytes().await.map_err(away)?;
        if status.as_u16() == 200 {
            return Ok(body.to_vec());
        }
        let what = format!("{status}: {}", String::from_utf8_lossy(&body));
        Err(Failure { what, is_temporary: is_temporary(status.as_u16()) })
    }
}
