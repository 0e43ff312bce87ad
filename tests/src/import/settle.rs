//! Waits until the system has thought everything through: every order of the import is confirmed
//! or rejected, and the read models have applied what led there.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    expectation::Expectation,
    found::Found,
    progress::Phase,
    queries::{Days, Place, Queries},
};

const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Nothing moved for so long: look at each order, some may be rejected instead of sold.
const QUIET: Duration = Duration::from_secs(3);
/// Nothing moved for so long: what is missing now is a difference.
const STALL_MAX: Duration = Duration::from_secs(120);

/// The orders as they are once nothing moves any more.
///
/// # Errors
/// If the query API stays away or refuses.
pub async fn wait(queries: &Queries, expectation: &Expectation, phase: &Phase) -> Result<Found> {
    let Some(days) = Days::of(expectation) else { return Ok(Found::default()) };
    let wanted = expectation.orders.len();
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut best, mut moved, mut looked) = (0, Instant::now(), Instant::now());
    loop {
        ticks.tick().await;
        let sold = queries.sold(days).await?;
        phase.set(sold.min(u64::try_from(wanted)?));
        if sold > best {
            (best, moved) = (sold, Instant::now());
        }
        // The sum is cheap and tells when it is worth to read every order.
        let is_enough = usize::try_from(sold)? >= wanted && moved.elapsed() < QUIET;
        if !is_enough && moved.max(looked).elapsed() < QUIET {
            continue;
        }
        let found = Found::read(queries, expectation).await?;
        looked = Instant::now();
        let is_settled = found.settled() == wanted;
        if is_settled || moved.elapsed() >= STALL_MAX {
            catch_up(queries, phase).await?;
            return Ok(found);
        }
        phase.waits_for(format!("{} orders are not settled", wanted - found.settled()));
    }
}

/// The report is folded by another projection than the orders: waits until each has applied what
/// the furthest has applied now. What others append meanwhile is not waited for.
async fn catch_up(queries: &Queries, phase: &Phase) -> Result<()> {
    let mut wanted: HashMap<u32, u64> = HashMap::new();
    for place in queries.positions().await? {
        let furthest = wanted.entry(place.shard).or_insert(place.next_offset);
        *furthest = place.next_offset.max(*furthest);
    }
    let is_behind =
        |place: &Place| wanted.get(&place.shard).is_some_and(|w| place.next_offset < *w);
    let started = Instant::now();
    let mut ticks = interval(LOOK_INTERVAL);
    while started.elapsed() < STALL_MAX {
        ticks.tick().await;
        let places = queries.positions().await?;
        let Some(place) = places.iter().find(|place| is_behind(place)) else { break };
        phase.waits_for(format!("projection {} of shard {}", place.projection, place.shard));
    }
    Ok(())
}
