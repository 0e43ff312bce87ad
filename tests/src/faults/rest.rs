//! Waiting until nothing moves any more: every part is ready, every order is settled, and the log
//! has stopped growing.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::site::Site;
use crate::eventually::wait_for;
use crate::stack::topic::SHARD_COUNT;

const REST_WAIT_MAX: Duration = Duration::from_secs(120);
/// A log that has not grown for so long is at rest.
const QUIET: Duration = Duration::from_secs(2);
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// # Errors
/// When it does not come to rest, with what was still to do.
pub(super) async fn come(site: &Site) -> Result<()> {
    site.heal();
    for service in site.services() {
        service.wait_ready(&site.folder, &site.state).await?;
    }
    let mut last = (vec![], Instant::now());
    let database = site.state.databases(&site.secrets).reader;
    let looking = std::sync::Mutex::new(&mut last);
    wait_for("the system to come to rest", REST_WAIT_MAX, || async {
        let looked = tokio::try_join!(ends(site), pending(&database));
        let (ends, pending) = match looked {
            Ok(looked) => looked,
            Err(error) => return ControlFlow::Continue(format!("{error:#}")),
        };
        let mut last = looking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.0 != ends {
            **last = (ends, Instant::now());
        }
        if pending == 0 && last.1.elapsed() >= QUIET {
            return ControlFlow::Break(Ok(()));
        }
        ControlFlow::Continue(format!("{pending} orders are pending, the log ends at {:?}", last.0))
    })
    .await
}

/// Orders that are neither confirmed nor rejected.
async fn pending(database: &str) -> Result<i64> {
    let mut database = PgConnection::connect(database).await?;
    let sql = "SELECT count(*) FROM read.orders WHERE status = 'pending'";
    let count = sqlx::query_scalar(sql).fetch_one(&mut database).await;
    count.context("counting orders")
}

async fn ends(site: &Site) -> Result<Vec<i64>> {
    let (servers, topic) = (site.state.bootstrap_servers(), site.state.topic.clone());
    let asking = tokio::task::spawn_blocking(move || -> Result<Vec<i64>> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers);
        let client: BaseConsumer = config.create()?;
        let partitions = 0..i32::try_from(SHARD_COUNT)?;
        let end = |partition| Ok(client.fetch_watermarks(&topic, partition, ANSWER_WAIT_MAX)?.1);
        partitions.map(end).collect()
    });
    asking.await?
}
