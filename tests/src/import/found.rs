//! What the query API says of the orders, seen from the expectation, once the system has thought
//! everything through: every order of the import is confirmed or rejected, and the read models have
//! applied what led there.

use std::{collections::HashMap, iter::Sum, time::Duration};

use anyhow::Result;
use domain::{id::OrderId, timestamp::Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    expectation::{Expectation, Sums},
    number::{CURRENCY, Cents},
    progress::Phase,
    queries::{Days, OrderRead, Place, Queries},
};

const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Nothing moved for so long: look at each order, some may be rejected instead of sold.
const QUIET: Duration = Duration::from_secs(3);
/// Nothing moved for so long: what is missing now is a difference.
const STALL_MAX: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The orders of the chosen baskets.
    pub(crate) orders: HashMap<OrderId, OrderRead>,
    /// Other sales at the till on the same days: they are in the report too.
    pub(crate) others: Vec<OrderRead>,
}

impl Found {
    pub(crate) async fn read(queries: &Queries, expectation: &Expectation) -> Result<Self> {
        let Some(days) = Days::of(expectation) else { return Ok(Self::default()) };
        let (ours, others): (Vec<_>, Vec<_>) = queries
            .orders(days)
            .await?
            .into_iter()
            .partition(|order| expectation.orders.contains_key(&order.id));
        let orders = ours.into_iter().map(|order| (order.id, order)).collect();
        let others = others.into_iter().filter(OrderRead::counts_as_sale).collect();
        Ok(Self { orders, others })
    }

    pub(crate) fn settled(&self) -> usize {
        self.orders.values().filter(|order| order.is_settled()).count()
    }

    pub(crate) fn sums(&self) -> Sums {
        self.orders.values().filter(|order| order.counts_as_sale()).map(OrderRead::sums).sum()
    }
}

/// The orders as they are once nothing moves any more.
pub(crate) async fn settled(
    queries: &Queries,
    expectation: &Expectation,
    phase: &Phase,
) -> Result<Found> {
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

impl OrderRead {
    pub(crate) fn is_settled(&self) -> bool {
        self.status != "pending"
    }

    /// The sales report counts an order from its confirmation on.
    pub(crate) fn counts_as_sale(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "rejected")
    }

    pub(crate) fn sums(&self) -> Sums {
        let units = self.lines.iter().map(|line| line.quantity).sum();
        Sums { orders: 1, units, revenue: Cents(self.totals.total.amount) }
    }

    /// What no sum would show: lines that do not add up, or money that is not ours.
    pub(crate) fn is_consistent(&self) -> bool {
        let total = self.totals.total;
        let lines: i64 = self.lines.iter().map(|line| line.total.amount).sum();
        let ours = self.lines.iter().all(|line| line.total.currency == CURRENCY);
        ours && total.currency == CURRENCY && lines == total.amount
    }
}

impl Sums {
    pub(crate) fn add(&mut self, other: Self) {
        self.orders += other.orders;
        self.units += other.units;
        self.revenue += other.revenue;
    }
}

impl Sum for Sums {
    fn sum<I: Iterator<Item = Self>>(rows: I) -> Self {
        let mut sums = Self::default();
        rows.for_each(|row| sums.add(row));
        sums
    }
}

impl Days {
    /// `None` if no order is expected.
    pub(crate) fn of(expectation: &Expectation) -> Option<Self> {
        let placed = || expectation.orders.values().map(|order| order.placed_at);
        let day = |at: Timestamp| at.to_datetime().date_naive();
        Some(Self { first: day(placed().min()?), last: day(placed().max()?) })
    }
}
