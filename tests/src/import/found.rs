//! What the query API says of the orders, seen from the expectation.

use std::collections::HashMap;

use anyhow::Result;
use domain::{id::OrderId, timestamp::Timestamp};

use super::{
    cents::{CURRENCY, Cents},
    expectation::{Expectation, Sums},
    queries::{Days, OrderRead, Queries},
};

#[derive(Debug, Default)]
pub struct Found {
    /// The orders of the chosen baskets.
    pub orders: HashMap<OrderId, OrderRead>,
    /// Other sales at the till on the same days: they are in the report too.
    pub others: Vec<OrderRead>,
}

impl Found {
    /// # Errors
    /// If the query API stays away or refuses.
    pub async fn read(queries: &Queries, expectation: &Expectation) -> Result<Self> {
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

    #[must_use]
    pub fn settled(&self) -> usize {
        self.orders.values().filter(|order| order.is_settled()).count()
    }

    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for order in self.orders.values().filter(|order| order.counts_as_sale()) {
            sums.add(order.sums());
        }
        sums
    }
}

impl OrderRead {
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.status != "pending"
    }

    /// The sales report counts an order from its confirmation on.
    #[must_use]
    pub fn counts_as_sale(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "rejected")
    }

    #[must_use]
    pub fn sums(&self) -> Sums {
        let units = self.lines.iter().map(|line| line.quantity).sum();
        Sums { orders: 1, units, revenue: Cents(self.totals.total.amount) }
    }

    /// What no sum would show: lines that do not add up, or money that is not ours.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let total = self.totals.total;
        let lines: i64 = self.lines.iter().map(|line| line.total.amount).sum();
        let ours = self.lines.iter().all(|line| line.total.currency == CURRENCY);
        ours && total.currency == CURRENCY && lines == total.amount
    }
}

impl Sums {
    pub fn add(&mut self, other: Self) {
        self.orders += other.orders;
        self.units += other.units;
        self.revenue += other.revenue;
    }
}

impl Days {
    /// `None` if no order is expected.
    #[must_use]
    pub fn of(expectation: &Expectation) -> Option<Self> {
        let placed = || expectation.orders.values().map(|order| order.placed_at);
        let day = |at: Timestamp| at.to_datetime().date_naive();
        Some(Self { first: day(placed().min()?), last: day(placed().max()?) })
    }
}
